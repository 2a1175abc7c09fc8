/**
 * How many callers a stack trace of workflow code names. The SDK takes one of each promise that a run makes, so that
 * Temporal's UI can show where a run stands; with ten, as by default, that was a third of the workflow thread's time
 * (docs/decisions/workflow-thread.md). Evaluated once, before the runs: after that the globals are frozen.
 */
Error.stackTraceLimit = 4;

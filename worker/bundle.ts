import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode, type WorkflowBundle } from '@temporalio/worker';
import { failureConverterPath } from '../configuration/dataConverter.ts';
import { sourceDigest } from './sourceDigest.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const workflowsPath = join(root, 'workflows/index.ts');
const interceptorsPath = join(root, 'workflows/tracing.ts');
const stackTracesPath = join(root, 'workflows/stackTraces.ts');
const bundlePath = join(root, 'worker/bundle/workflows.js');

/** What a workflow bundle may be made of: a change in any of them makes another bundle. */
const sources = ['workflows', 'contracts', 'worker/bundle.ts', 'package-lock.json'];

/**
 * The workflow code, bundled once and kept beside its digest; built anew when its sources or the SDK changed.
 * Options that concern workflow code (interceptors, converters) belong here, for they are ignored anywhere else.
 */
export async function workflowBundle(): Promise<WorkflowBundle> {
  const stamp = `// ${sourceDigest(sources)}\n`;
  if (existsSync(bundlePath)) {
    const kept = readFileSync(bundlePath, 'utf8');
    if (kept.startsWith(stamp)) return { code: kept };
  }
  const { code } = await bundleWorkflowCode({
    workflowsPath,
    workflowInterceptorModules: [interceptorsPath],
    failureConverterPath,
    // Evaluated once for all runs, and frozen, instead of anew for each: none of them keeps anything outside of a call.
    preloadModules: [stackTracesPath, workflowsPath, interceptorsPath, failureConverterPath],
    logger: quiet,
  });
  mkdirSync(dirname(bundlePath), { recursive: true });
  const draft = `${bundlePath}.${process.pid}`;
  writeFileSync(draft, stamp + code);
  renameSync(draft, bundlePath);
  return { code: stamp + code };
}

const silent = (): void => undefined;
const quiet = { log: silent, trace: silent, debug: silent, info: silent, warn: console.warn, error: console.error };

import { spawn } from 'node:child_process';
import { exitCodes } from './exitCodes.ts';

/**
 * Goes on as another program of ours, with the same process id, terminal and signals, so that nothing stands between the
 * one who stops it and what is to be stopped. Does not return, except where the system cannot do that (Windows): there
 * it runs as a child and this process ends with its exit code.
 */
export function becomeProcess(script: string, args: readonly string[]): void {
  if (process.execve !== undefined && process.platform !== 'win32') {
    process.execve(process.execPath, ['node', script, ...args], process.env);
  }
  const child = spawn(process.execPath, [script, ...args], { stdio: 'inherit' });
  child.once('exit', (code) => {
    process.exitCode = code ?? exitCodes.internal.code;
  });
}

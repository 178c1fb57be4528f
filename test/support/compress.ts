import { execFileSync } from 'node:child_process'

/** Compresses bytes with another program. */
export function by(program: string, args: readonly string[], bytes: Uint8Array): Buffer {
  return execFileSync(program, args, { input: bytes, maxBuffer: 1024 * 1024 * 1024, stdio: ['pipe', 'pipe', 'ignore'] })
}

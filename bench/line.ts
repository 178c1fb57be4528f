import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { isRoot, root, type Command } from './row.js'

/** Why there can be no lines with a delay here; undefined where there can. */
export function noLines(): string | undefined {
  if (!isRoot) return 'needs root'
  if (!fs.existsSync('/dev/net/tun')) return 'needs /dev/net/tun'
  const missing = ['ip', 'python3'].find((tool) => spawnSync('which', [tool]).status !== 0)
  return missing === undefined ? undefined : `needs ${missing}`
}

/** A line with a delay (bench/line.py): commands that run behind it reach 127.0.0.1 of this machine over it. */
export class Line implements Disposable {
  readonly #name: string
  readonly #child: ChildProcess

  private constructor(name: string, child: ChildProcess) {
    this.#name = name
    this.#child = child
  }

  static async start(milliseconds: number): Promise<Line> {
    const name = `vdisk-bench-${process.pid}-${milliseconds}`
    const child = spawn('chrt', ['-r', '20', 'python3', path.join(root, 'bench/line.py'), name, String(milliseconds)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    await new Promise<void>((resolve, reject) => {
      child.stdout.once('data', () => resolve())
      child.once('exit', () => reject(new Error('the line with a delay ended')))
    })
    return new Line(name, child)
  }

  behind({ name, argv }: Command): Command {
    return { name, argv: ['ip', 'netns', 'exec', this.#name, ...argv] }
  }

  /** It removes its namespace itself. */
  [Symbol.dispose](): void {
    this.#child.stdin?.end()
  }
}

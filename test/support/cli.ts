import assert from 'node:assert/strict'
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

/** The package's folder. */
export const root = fileURLToPath(new URL('../../..', import.meta.url))
/** What runs. */
export const program = join(root, 'bin/run.js')

// Tests run what users run: the bundle. It is made anew when the compiled sources have changed (scripts/run-tests.js
// has done so already).
if (process.env['VDISK_BUNDLED'] === undefined) {
  execFileSync(process.execPath, [join(root, 'scripts/bundle.js'), '--stale'])
  process.env['VDISK_BUNDLED'] = '1'
}

export interface CliResult {
  /** The exit code, or the signal's name. */
  readonly code: number | string
  readonly stdout: Buffer
  readonly stderr: string
}

interface CliOptions {
  readonly cwd: string
  readonly input?: Uint8Array
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Called with each piece of standard error. */
  readonly onError?: (text: string, child: ChildProcess) => void
  /** Called with each piece of standard output. */
  readonly onOutput?: (bytes: Buffer, child: ChildProcess) => void
}

/** What Node says by itself, of too many listeners or a rejection that nobody handled, is a fault of the program. */
export function assertNoWarning(stderr: string): void {
  assert.doesNotMatch(stderr, /^\(node:\d+\)|^\(Use `node --trace/m)
}

/** Runs the built command line, with a home of its own: nothing of the user's is read or written. */
export function vdisk(args: readonly string[], options: CliOptions): Promise<CliResult> {
  const env = {
    PATH: process.env['PATH'] ?? '',
    HOME: options.cwd,
    VDISK_DATA_DIR: join(options.cwd, 'no-plugins'),
    TERM: 'dumb',
    // Set for a run of the tests in which oclif starts every command.
    VDISK_START: process.env['VDISK_START'],
    ...options.env,
  }
  const child = spawn(process.execPath, [program, ...args], { cwd: options.cwd, env, stdio: 'pipe' })
  const out: Buffer[] = []
  let stderr = ''
  child.stdout.on('data', (bytes: Buffer) => {
    out.push(bytes)
    options.onOutput?.(bytes, child)
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
    options.onError?.(text, child)
  })
  // A program that ends before it has read everything closes the pipe; that is no failure of the test.
  child.stdin.on('error', () => undefined)
  child.stdin.end(options.input)
  const ended = new Promise<number | string>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => resolve(code ?? signal ?? 'none'))
  })
  return ended.then((code) => {
    assertNoWarning(stderr)
    return { code, stdout: Buffer.concat(out), stderr }
  })
}

/** A data folder in which a plugin is installed, for the environment variable VDISK_DATA_DIR. */
export function installPlugin(folder: string, plugin: { readonly name: string; readonly root: string }): string {
  const data = join(folder, `data-${plugin.name}`)
  fs.mkdirSync(data)
  fs.writeFileSync(
    join(data, 'package.json'),
    JSON.stringify({ oclif: { schema: 1, plugins: [{ type: 'user', ...plugin }] } }),
  )
  return data
}

/** Makes a plugin package whose hook has the given body, which may use `toy` (test/support/toy-format.ts). */
export function makePlugin(folder: string, name: string, body: string): { name: string; root: string } {
  const place = join(folder, name)
  fs.mkdirSync(place)
  fs.writeFileSync(
    join(place, 'package.json'),
    JSON.stringify({ name, version: '1.0.0', type: 'module', oclif: { hooks: { 'vdisk:formats': './hook.js' } } }),
  )
  const toy = pathToFileURL(join(root, 'dist/test/support/toy-format.js')).href
  fs.writeFileSync(
    join(place, 'hook.js'),
    `import { toy } from ${JSON.stringify(toy)}\nexport default async function () { ${body} }\n`,
  )
  return { name, root: place }
}

/** Images that are mounted in tests, and taken away whatever happens. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { parseMounts } from '../../src/device/mounts.js'
import { mount, type MountOptions, type MountSession } from '../../src/operations/mount/mount.js'
import { unmount } from '../../src/operations/mount/unmount.js'
import { sha256 } from './content.js'
import { vdisk, type CliResult } from './cli.js'
import { removeFolder } from './folder.js'
import { assertSchema } from './schemas.js'
import { isInstalled, run } from './tools.js'
import { skipReason } from './complete.js'

/** Why nothing can be mounted here; undefined when it can. CI runs all tests. */
export function mountingMissing(): string | undefined {
  const missing =
    process.getuid?.() !== 0
      ? 'mounting is tested as root'
      : !fs.existsSync('/dev/fuse')
        ? 'there is no /dev/fuse'
        : !fs.existsSync('/dev/loop-control')
          ? 'there are no loop devices'
          : ['mount', 'losetup'].find((program) => !isInstalled(program))?.concat(' is not installed')
  return skipReason(missing)
}

/** A folder, a runtime folder and vdisk in them. */
export interface MountPlace {
  readonly folder: string
  readonly runtime: string
  readonly at: (name: string) => string
  /** The command line. */
  readonly vdisk: (...args: readonly string[]) => Promise<CliResult>
  /** The operation, in this process. */
  readonly mount: (image: string, point?: string, options?: MountOptions) => Promise<MountSession>
  /** The operation; the image is closed when it is done. */
  readonly unmount: (target: string) => Promise<void>
}

/** A place of the test's own: what is mounted, served or attached in it is gone after the test. */
export function mountPlace(t: TestContext): MountPlace {
  const folder = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'vdisk-mount-')))
  const runtime = join(folder, 'runtime')
  t.after(() => {
    takeAway(folder)
    removeFolder(folder)
  })
  process.env['VDISK_RUNTIME_DIR'] = runtime
  return {
    folder,
    runtime,
    at: (name) => join(folder, name),
    vdisk: (...args) => vdisk(args, { cwd: folder, env: { VDISK_RUNTIME_DIR: runtime } }),
    mount: async (image, point, options = {}) => {
      const result = await mount(image, point, options)
      assertSchema('mount', { schema: 'vdisk.mount', schemaVersion: 1, ...result })
      return result.session
    },
    unmount: async (target) => {
      const images = await unmount(target)
      assertSchema('unmount', { schema: 'vdisk.unmount', schemaVersion: 1, images })
      assert.ok(images.every(({ closed }) => closed))
    },
  }
}

/** Mounts below a folder, the innermost first. */
export function mountsBelow(folder: string): string[] {
  return parseMounts(fs.readFileSync('/proc/self/mountinfo', 'utf8'))
    .map(({ point }) => point)
    .filter((point) => point.startsWith(`${folder}/`))
    .reverse()
}

/** Processes that serve or watch what is in a folder. */
export function serversOf(runtime: string): number[] {
  if (!fs.existsSync(runtime)) return []
  const states = fs
    .readdirSync(runtime)
    .filter((name) => name.endsWith('.json'))
    .map((name) => JSON.parse(fs.readFileSync(join(runtime, name), 'utf8')) as MountSession)
  return states.map(({ pid }) => pid).filter((pid) => fs.existsSync(`/proc/${pid}`))
}

/** Nothing of a place is mounted, attached or served any more, and no state is left. */
export async function assertGone({ folder, runtime }: MountPlace): Promise<void> {
  const left = (): string[] => [...mountsBelow(folder), ...fs.readdirSync(runtime), ...loopsOf(runtime)]
  // A server that ends by itself takes a moment to close the image.
  for (let tries = 0; tries < 12_000 && left().length > 0; tries++)
    await new Promise((resolve) => setTimeout(resolve, 25))
  assert.deepEqual(left(), [])
}

function loopsOf(runtime: string): string[] {
  return run('losetup', '--list', '--noheadings', '--output', 'NAME,BACK-FILE')
    .split('\n')
    .filter((line) => line.includes(runtime))
}

/** Ends what a failed test has left mounted, served or attached in a folder. */
export function takeAway(folder: string): void {
  for (const point of mountsBelow(folder)) spawnSync('umount', ['-l', point])
  for (const pid of serversOf(join(folder, 'runtime'))) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It ended because its folder is gone.
    }
  }
  for (const line of loopsOf(join(folder, 'runtime'))) spawnSync('losetup', ['--detach', line.split(/\s/)[0] ?? ''])
  for (const point of mountsBelow(folder)) spawnSync('umount', ['-l', point])
}

/** Every file below a folder, by its path: what it holds. What filesystems add of their own is left out. */
export function hashes(folder: string, path = ''): Map<string, string> {
  const files = new Map<string, string>()
  for (const name of fs.readdirSync(join(folder, path)).sort()) {
    if (name === 'lost+found' || name === 'System Volume Information') continue
    const place = join(folder, path, name)
    const status = fs.lstatSync(place)
    if (status.isDirectory()) for (const [below, hash] of hashes(folder, `${path}${name}/`)) files.set(below, hash)
    else
      files.set(
        path + name,
        status.isSymbolicLink() ? `link to ${fs.readlinkSync(place)}` : sha256(fs.readFileSync(place)),
      )
  }
  return files
}

/** sha256 of a file of the host. */
export const fileHash = (path: string): string => run('sha256sum', path).split(' ')[0] ?? ''

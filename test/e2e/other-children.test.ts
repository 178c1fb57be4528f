import assert from 'node:assert/strict'
import fs from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { root, vdisk } from '../support/cli.js'
import { testFolder } from '../support/folder.js'
import { loopDevice, loopsMissing } from '../support/loop.js'
import { have, runIn } from '../support/tools.js'

/**
 * What a command does to `base.qcow2`, the parent of `child.qcow2`: `refused` where the child would show something else
 * afterwards, `fits` where it does not.
 */
interface Way {
  readonly refused?: readonly string[]
  readonly fits?: readonly string[]
  /** Whether it needs a disk, whose path takes the place of `DISK`. */
  readonly disk?: true
}

/** Changes and replaces no file of the user that an image could have as its parent. */
const none: readonly Way[] = []

/** Every command. A new one is to be judged here. */
const commands: Readonly<Record<string, readonly Way[]>> = {
  autocomplete: none,
  // Images of a set are only changed by the set (E_IN_SET).
  'backup:check': none,
  'backup:find': none,
  'backup:init': none,
  'backup:list': none,
  'backup:prune': none,
  // To a disk.
  'backup:restore': none,
  'backup:run': none,
  'backup:schedule': none,
  'backup:show': none,
  // Its jobs are converted as convert does it, and replace nothing.
  batch: none,
  cat: none,
  'chain:commit': [{ refused: ['chain', 'commit', 'second.qcow2'] }],
  'chain:flatten': [{ refused: ['chain', 'flatten', 'other.qcow2', 'base.qcow2', '--force'] }],
  'chain:rebase': [{ fits: ['chain', 'rebase', 'child.qcow2', 'other.qcow2'] }],
  'chain:relink': [{ fits: ['chain', 'relink', 'child.qcow2', 'base.qcow2'] }],
  'chain:show': none,
  check: none,
  // To a disk.
  clone: none,
  commands: none,
  compact: [
    { refused: ['compact', 'other.qcow2', '--output', 'base.qcow2', '--force'] },
    { fits: ['compact', 'base.qcow2', '--in-place'] },
  ],
  compare: none,
  convert: [
    { refused: ['convert', 'other.qcow2', 'base.qcow2', '--force'] },
    { refused: ['convert', 'other.qcow2', 'base.qcow2', '--force', '--dry-run'] },
    { refused: ['convert', 'other.qcow2', 'new.qcow2', '--force', '-o', 'data-file=base.qcow2'] },
  ],
  cp: [{ refused: ['cp', 'other.qcow2@2:/etc/hostname', 'base.qcow2', '--force'] }],
  create: [{ refused: ['create', 'base.qcow2', '40M', '--force'] }],
  disks: none,
  doctor: [
    { refused: ['doctor', 'base.qcow2', '--mend', '--in-place'] },
    { refused: ['doctor', 'base.qcow2', '--mend', '--mend-initramfs', '--for', 'qemu', '--in-place', '--dry-run'] },
  ],
  formats: none,
  hash: none,
  image: [{ refused: ['image', 'DISK', 'base.qcow2', '--force', '--allow-same-disk'], disk: true }],
  info: none,
  inspect: [{ refused: ['inspect', 'other.qcow2', '--html', 'base.qcow2', '--force'] }],
  ls: none,
  map: none,
  measure: none,
  mount: [
    { refused: ['mount', 'base.qcow2', '--write'] },
    { refused: ['mount', 'base.qcow2', '--overlay', 'child.qcow2'] },
  ],
  mounts: none,
  'partition:convert': [
    { refused: ['partition', 'convert', 'other.qcow2', 'base.qcow2', '--table', 'mbr', '--force'] },
  ],
  'partition:extract': [{ refused: ['partition', 'extract', 'other.qcow2@1', 'base.qcow2', '--force'] }],
  'partition:fix': [
    { refused: ['partition', 'fix', 'base.qcow2', '--new-ids', '--in-place'] },
    { refused: ['partition', 'fix', 'base.qcow2', '--new-ids', '--in-place', '--dry-run'] },
    { refused: ['partition', 'fix', 'other.qcow2', '--new-ids', '--output', 'base.qcow2', '--force'] },
  ],
  'partition:inject': [
    { refused: ['partition', 'inject', 'base.qcow2@1', 'part.raw', '--in-place'] },
    { refused: ['partition', 'inject', 'other.qcow2@1', 'part.raw', '--output', 'base.qcow2', '--force'] },
  ],
  'partition:list': none,
  platforms: none,
  plugins: none,
  'plugins:install': none,
  'plugins:link': none,
  'plugins:uninstall': none,
  'plugins:update': none,
  repair: [
    { refused: ['repair', 'other.qcow2', '--output', 'base.qcow2', '--force'] },
    { fits: ['repair', 'base.qcow2', '--in-place'] },
  ],
  resize: [{ fits: ['resize', 'base.qcow2', '+1M'] }, { refused: ['resize', 'base.qcow2', '20M', '--shrink'] }],
  // To a disk.
  restore: none,
  sample: [{ refused: ['sample', 'base.qcow2', '--force'] }],
  serve: [
    { refused: ['serve', 'base.qcow2', '--write', '--socket', 'socket'] },
    { refused: ['serve', 'base.qcow2', '--overlay', 'child.qcow2', '--socket', 'socket'] },
  ],
  'snapshot:create': [{ fits: ['snapshot', 'create', 'base.qcow2', 'new'] }],
  'snapshot:delete': [{ fits: ['snapshot', 'delete', 'base.qcow2', 'old'] }],
  'snapshot:extract': [{ refused: ['snapshot', 'extract', 'other.qcow2', 'old', 'base.qcow2', '--force'] }],
  'snapshot:list': none,
  unmount: none,
  version: none,
  view: none,
  which: none,
}

test('every command is judged', () => {
  const manifest = JSON.parse(fs.readFileSync(join(root, 'oclif.manifest.json'), 'utf8')) as {
    commands: Record<string, { flags: Record<string, unknown> }>
  }
  assert.deepEqual(Object.keys(commands).sort(), Object.keys(manifest.commands).sort())
  for (const [id, ways] of Object.entries(commands))
    if (ways.some(({ refused }) => refused !== undefined))
      assert.ok('allow-other-children' in manifest.commands[id]!.flags, `${id} has not the flag that its message names`)
})

test('a parent is changed or replaced by no command, as long as its child would show it', async (t) => {
  if (!have(t, 'qemu-img')) return
  const made = testFolder(t)
  const done = async (...args: string[]): Promise<void> => {
    const { code, stderr } = await vdisk(args, { cwd: made })
    assert.equal(code, 0, `${args.join(' ')}: ${stderr}`)
  }
  fs.copyFileSync(join(root, 'samples/practice.qcow2'), join(made, 'base.qcow2'))
  await done('snapshot', 'create', 'base.qcow2', 'old')
  fs.copyFileSync(join(made, 'base.qcow2'), join(made, 'other.qcow2'))
  for (const [name, parent] of [
    ['child.qcow2', 'base.qcow2'],
    ['second.qcow2', 'base.qcow2'],
    ['grandchild.qcow2', 'child.qcow2'],
  ] as const)
    runIn(made, 'qemu-img', 'create', '-q', '-f', 'qcow2', '-b', parent, '-F', 'qcow2', name)
  runIn(made, 'qemu-img', 'convert', '-O', 'raw', 'base.qcow2', 'shown.raw')
  fs.writeFileSync(join(made, 'part.raw'), Buffer.alloc(65536, 1))
  const disk = loopsMissing() === undefined ? loopDevice(t, join(made, 'shown.raw'), 512, '--read-only') : undefined

  let walked = 0
  for (const way of Object.values(commands).flat()) {
    if (way.disk === true && disk === undefined) continue
    const cwd = testFolder(t)
    fs.cpSync(made, cwd, { recursive: true })
    const args = (way.refused ?? way.fits ?? []).map((each) => (each === 'DISK' ? (disk ?? '') : each))
    const shown = args.join(' ')
    if (way.refused !== undefined) {
      const before = fs.readdirSync(cwd).sort()
      const bytes = before.map((name) => fs.readFileSync(join(cwd, name)))
      const { code, stdout, stderr } = await vdisk([...args, '--json'], { cwd })
      assert.equal(code, 3, `${shown}: ${stdout.toString()}${stderr}`)
      const document = JSON.parse(stdout.toString()) as { code: string; message: string }
      assert.equal(document.code, 'E_OTHER_CHILDREN', shown)
      assert.match(document.message, /child\.qcow2/, shown)
      assert.deepEqual(fs.readdirSync(cwd).sort(), before, shown)
      for (const [index, name] of before.entries())
        assert.ok(fs.readFileSync(join(cwd, name)).equals(bytes[index]!), `${shown} changed ${name}`)
    } else {
      const { code, stdout, stderr } = await vdisk(args, { cwd })
      assert.equal(code, 0, `${shown}: ${stdout.toString()}${stderr}`)
      const compared = runIn(cwd, 'qemu-img', 'compare', '-f', 'qcow2', '-F', 'raw', 'grandchild.qcow2', 'shown.raw')
      assert.match(compared, /identical/, shown)
    }
    fs.rmSync(cwd, { recursive: true })
    walked++
  }
  assert.ok(walked > 30)
})

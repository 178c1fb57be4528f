import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { assertNoWarning, root } from '../support/cli.js'
import { skipReason } from '../support/complete.js'
import { examplesRun } from '../support/examples.js'
import { farFolder, farFolderMissing } from '../support/far-folder.js'
import { loopDevice, loopsMissing } from '../support/loop.js'
import { mountingMissing } from '../support/mounted.js'
import { isInstalled, scratch } from '../support/tools.js'

type Example = string | { readonly description?: string; readonly command: string }

const { commands } = JSON.parse(fs.readFileSync(join(root, 'oclif.manifest.json'), 'utf8')) as {
  readonly commands: Readonly<Record<string, { readonly examples: readonly Example[] }>>
}

/** The files that the examples speak of, made of fixtures; each line is run by a shell in the folder. */
const scene = [
  'cp "$FIXTURES/partitioned-disk.vhdx" server.vhdx',
  'cp server.vhdx disk.vhdx',
  'cp server.vhdx backup.vhdx',
  'vdisk convert server.vhdx server.qcow2',
  'vdisk snapshot create server.qcow2 earlier',
  'vdisk convert server.vhdx disk.qcow2',
  'vdisk snapshot create disk.qcow2 before-update',
  'cp server.qcow2 backup.qcow2',
  'vdisk convert server.vhdx disk.raw',
  'vdisk convert server.vhdx server.vhd',
  'vdisk convert server.vhdx server.vmdk',
  'cp server.vhd disk.vhd',
  'cp disk.raw a.raw',
  'cp disk.raw b.raw',
  'cp server.vhd a.vhd',
  'cp server.vhdx b.vhdx',
  'cp disk.raw today.raw',
  'vdisk partition convert server.vhdx old.vhd --table mbr',
  'vdisk partition extract server.vhdx@1 usb.img --to raw',
  'cp usb.img esp.img',
  'vdisk convert esp.img esp.qcow2',
  'vdisk partition extract server.vhdx@2 root.qcow2',
  'cp server.qcow2 other.qcow2',
  'vdisk create base.vhdx 40M',
  'vdisk create child.vhdx --parent base.vhdx',
  'vdisk create base.qcow2 40M',
  'vdisk create child.qcow2 --parent base.qcow2',
  'vdisk create newest.qcow2 --parent child.qcow2',
  'echo "- check server.vhdx" > jobs.yaml',
  'vdisk create checkpoint.avhdx --to vhdx --parent server.vhdx',
]

/** A plug-in as docs/extending.md makes one. */
const ownPlugin =
  'cp -r "$FIXTURES/../plugins/template" my-plugin && cd my-plugin && npm pkg set name=vdisk-plugin-mine'

/** What some examples need besides: run before them, in the same folder. */
const before: Readonly<Record<string, readonly string[]>> = {
  // A disk that others are children of is not changed.
  resize: ['rm checkpoint.avhdx'],
  'partition:fix 1': ['rm checkpoint.avhdx'],
  'chain:flatten': ['mkdir old', 'mv server.vhdx old/', 'vdisk chain relink checkpoint.avhdx old/server.vhdx'],
  'chain:relink': ['mkdir parents', 'mv server.vhdx parents/'],
  'convert 0': ['rm server.qcow2'],
  'convert 1': ['rm disk.vhd'],
  'convert 2': ['rm disk.qcow2'],
  'convert 4': ['rm server.qcow2'],
  'convert 8': ['rm server.qcow2'],
  'convert 7': ['vdisk create data.qcow2 8M'],
  'create 0': ['rm disk.vhdx'],
  'create 1': ['rm disk.vhd'],
  'create 2': ['rm child.qcow2 newest.qcow2'],
  image: ['rm backup.vhdx'],
  'partition:extract': ['rm root.qcow2'],
  'plugins:install': [ownPlugin],
  'plugins:link': [ownPlugin],
  'plugins:uninstall': [ownPlugin, 'vdisk plugins link ./my-plugin'],
  'snapshot:delete': ['vdisk snapshot create server.qcow2 before-update'],
  'snapshot:extract': ['vdisk snapshot create server.qcow2 before-update'],
}

/** Examples whose answer is another exit code than 0. */
const answers: Readonly<Record<string, number>> = {
  // The disk of the fixtures holds no kernel.
  'doctor 0': 1,
  'doctor 1': 1,
  'doctor 2': 1,
  'doctor 3': 1,
  'doctor 5': 1,
}

const standIns = /\/dev\/sd[ab]\b/g

test('examples of the help do what they say, in at most 20 lines unless asked', { concurrency: 2 }, async (t) => {
  const at = scratch(t)
  const [bin, all] = [at('bin'), at('scene')]
  fs.mkdirSync(bin)
  fs.writeFileSync(join(bin, 'vdisk'), `#!/bin/sh\nexec "${process.execPath}" "${join(root, 'bin/run.js')}" "$@"\n`, {
    mode: 0o755,
  })
  const environment = {
    PATH: `${bin}:${process.env['PATH'] ?? ''}`,
    HOME: at('home'),
    XDG_RUNTIME_DIR: at('runtime'),
    VDISK_DATA_DIR: at('data'),
    FIXTURES: join(root, 'fixtures'),
    TERM: 'dumb',
  }
  fs.mkdirSync(environment.HOME)
  fs.mkdirSync(environment.XDG_RUNTIME_DIR, { mode: 0o700 })
  const shell = (cwd: string, line: string) =>
    spawnSync('sh', ['-c', line], { cwd, env: environment, encoding: 'utf8', maxBuffer: 1 << 28 })
  const prepare = (cwd: string, lines: readonly string[]): void => {
    for (const line of lines) {
      const { status, stderr } = shell(cwd, line)
      assert.equal(status, 0, `${line}: ${stderr}`)
    }
  }
  fs.mkdirSync(all)
  prepare(all, scene)
  for (const [id, { examples }] of Object.entries(commands)) {
    for (const number of examplesRun(id)) {
      const example = examples[number]
      assert.ok(example !== undefined, `${id} has an example ${number}`)
      const line = (typeof example === 'string' ? example : example.command)
        .replaceAll('<%= config.bin %>', 'vdisk')
        .replaceAll('<%= command.id %>', id.replaceAll(':', ' '))
      const skip = missingFor(id, line)
      await t.test(line, { skip }, (subtest) => {
        const folder = fs.mkdtempSync(at('example-'))
        // Holes stay holes: Node's own copy writes a third of a gigabyte each time.
        prepare(folder, [`cp -a ${all}/. .`])
        prepare(folder, before[`${id} ${number}`] ?? before[id] ?? [])
        const { status, stdout, stderr } = shell(folder, ready(subtest, id, line, folder))
        assertNoWarning(stderr)
        assert.equal(status, answers[`${id} ${number}`] ?? 0, stdout + stderr)
        assert.ok(asked(line) || lineCount(stdout + stderr) <= 20, `at most 20 lines unless asked:\n${stdout}${stderr}`)
        fs.rmSync(folder, { recursive: true })
      })
    }
  }
})

/** Whether a command line asks for more than a screen. */
function asked(line: string): boolean {
  return /--(?:json|verbose|headers|output qemu)\b/.test(line) || /^vdisk (?:cat|serve|backup schedule) /.test(line)
}

function lineCount(text: string): number {
  return text.split('\n').length - 1
}

/** Devices become loop devices, and what goes on until it is ended is ended. */
function ready(t: TestContext, id: string, line: string, folder: string): string {
  // Process substitution is bash's.
  if (id === 'autocomplete') return 'bash -c "source <(vdisk autocomplete bash) && complete -p vdisk"'
  if (id === 'mount') return `${line} && vdisk unmount server.vhdx`
  if (id === 'unmount') return `vdisk mount server.qcow2 && ${line}`
  if (id.startsWith('backup:')) {
    const [set, loop] = [join(farFolder(t), 'set'), loopDevice(t, join(folder, 'disk.raw'))]
    const made =
      id === 'backup:init' ? '' : `(vdisk backup init ${set} ${loop} && vdisk backup run ${set}) > run.txt && `
    return made + line.replaceAll('/mnt/backup/disk', set).replaceAll(standIns, loop)
  }
  if (id === 'serve') {
    // The server ends whatever its client answers.
    const background = line
      .replace('&', `& server=$!; ${until('test -S server.sock')};`)
      .replaceAll('/tmp/', `${folder}/`)
    return `${background}; status=$?; kill $server; exit $status`
  }
  // Pages are served until Ctrl-C.
  if (id === 'view') {
    return `${line} > page.txt & server=$!; ${until('test -s page.txt')}; kill -INT $server; wait $server; cat page.txt`
  }
  const earlier = /--since (\S+)/.exec(line)?.[1]
  const made = earlier === undefined ? '' : `vdisk image /dev/sdb ${earlier} > image.txt && `
  const loops = new Map<string, string>()
  return (made + line).replaceAll(standIns, (device) => {
    const known = loops.get(device)
    if (known !== undefined) return known
    // An image never lies on the disk it images: the disk is in memory.
    const file = join(id === 'image' ? farFolder(t) : folder, `${device.slice(-3)}.img`)
    fs.copyFileSync(join(folder, 'disk.raw'), file)
    if (device === '/dev/sdb' && id !== 'image') fs.truncateSync(file, 64 << 20)
    const loop = loopDevice(t, file)
    loops.set(device, loop)
    return loop
  })
}

/** Shell: waits until a command answers yes, for ten minutes at most. */
function until(command: string): string {
  return `for n in $(seq 6000); do ${command} && break; sleep 0.1; done`
}

function missingFor(id: string, line: string): string | undefined {
  if (id === 'mount' || id === 'unmount') return mountingMissing()
  if (id === 'serve' && !isInstalled('nbdinfo')) return skipReason('nbdinfo is not installed')
  if (id.startsWith('backup:')) return loopsMissing() ?? farFolderMissing()
  if (line.search(standIns) < 0) return undefined
  return loopsMissing() ?? (id === 'image' ? farFolderMissing() : undefined)
}

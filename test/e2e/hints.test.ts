import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import ts from 'typescript'
import { syscalls } from '../../src/sys/syscalls.js'
import { root, vdisk } from '../support/cli.js'
import { testFolder } from '../support/folder.js'
import { have } from '../support/tools.js'

/**
 * Every hint that names a command or a flag is followed: the error is provoked, what the hint says is taken from what
 * was printed, and it goes on. A hint that is new must be tried here, or be listed with the test that tries it.
 */

const mebibyte = 1024 * 1024

/** Takes the lock of a batch that runs, until the tests have ended. */
function holdLock(path: string): void {
  assert.ok(syscalls()?.lock(fs.openSync(path, 'w')))
}

interface Case {
  /** The codes whose hint this is. */
  readonly code: string
  /** What is in the folder; commands of vdisk run in it. */
  readonly make: (folder: string) => readonly (readonly string[])[] | undefined
  readonly command: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** What of the hint is taken. */
  readonly says: RegExp
  /** What is run then; left out: the command with what was taken, split as a shell does. */
  readonly follow?: (taken: string) => readonly (readonly string[])[]
  /** The exit code of the last command then; default 0. */
  readonly ends?: number
}

function put(folder: string, name: string, bytes: Uint8Array): void {
  fs.writeFileSync(join(folder, name), bytes)
}

function disk(folder: string, name: string, table: string, size = 32): void {
  put(folder, name, new Uint8Array(0))
  fs.truncateSync(join(folder, name), size * mebibyte)
  const made = spawnSync('sfdisk', ['-q', join(folder, name)], { input: table, encoding: 'utf8' })
  assert.equal(made.status, 0, made.stderr)
}

function ext(folder: string, name: string, size = 8): void {
  const made = spawnSync('mke2fs', ['-q', '-F', '-t', 'ext4', join(folder, name), `${size}m`], { encoding: 'utf8' })
  assert.equal(made.status, 0, made.stderr)
}

function change(folder: string, name: string, position: number, bytes: Uint8Array | string): void {
  const file = fs.openSync(join(folder, name), 'r+')
  const piece = Buffer.from(bytes)
  fs.writeSync(file, piece, 0, piece.length, position < 0 ? fs.fstatSync(file).size + position : position)
  fs.closeSync(file)
}

function raw(folder: string, name: string, size = mebibyte, fill = 7): void {
  put(folder, name, new Uint8Array(size).fill(fill))
}

/** A child in a folder of its own and its parent elsewhere. */
function strayChild(folder: string, format: string): readonly (readonly string[])[] {
  raw(folder, 'a.raw')
  fs.mkdirSync(join(folder, 'a place'))
  return [
    ['convert', 'a.raw', `base.${format}`],
    ['create', `child.${format}`, '--parent', `base.${format}`],
  ]
}

const cases: readonly Case[] = [
  {
    code: 'E_EXISTS',
    make: (f) => (raw(f, 'a.raw'), raw(f, 't.raw'), undefined),
    command: ['convert', 'a.raw', 't.raw'],
    says: /--force/,
  },
  {
    code: 'E_UNKNOWN_EXTENSION',
    make: (f) => (raw(f, 'a.raw'), undefined),
    command: ['convert', 'a.raw', 't'],
    says: /--to: (\w+)/,
    follow: (format) => [['convert', 'a.raw', 't', '--to', format]],
  },
  {
    code: 'E_UNKNOWN_EXTENSION',
    make: (f) => (raw(f, 'a.raw'), undefined),
    command: ['convert', 'a.raw', '/dev/sdx'],
    says: /vdisk restore IMAGE DEVICE/,
    follow: () => [['restore', '--help']],
  },
  {
    code: 'E_STREAM',
    make: (f) => (raw(f, 'a.raw'), undefined),
    command: ['convert', 'a.raw', '/dev/stdout', '--to', 'raw', '--force'],
    says: /vdisk convert .* is (-)/,
    follow: (target) => [['convert', 'a.raw', target, '--to', 'raw']],
  },
  {
    code: 'E_STREAM',
    make: () => undefined,
    command: ['create', '-', '1M', '--to', 'raw'],
    says: /A file of that name is (\S+)/,
    follow: (target) => [['create', target, '1M', '--to', 'raw']],
  },
  {
    code: 'E_EMPTY',
    make: (f) => (put(f, 'e.img', new Uint8Array(0)), undefined),
    command: ['info', 'e.img'],
    says: /--from raw/,
  },
  {
    code: 'E_NOT_RECOGNISED',
    make: (f) => (raw(f, 'x.qcow2'), undefined),
    command: ['info', 'x.qcow2'],
    says: /--from raw/,
  },
  {
    code: 'E_NOT_A_DISK_IMAGE',
    make: (f) => (put(f, 'notes.txt', Buffer.from('only words\n'.repeat(100))), undefined),
    command: ['info', 'notes.txt'],
    says: /--from raw/,
  },
  {
    code: 'E_PART_MISSING',
    make: (f) => (raw(f, 'd.001'), raw(f, 'd.003'), undefined),
    command: ['info', 'd.001'],
    says: /--from-option [\w-]+=\w+/,
  },
  {
    code: 'E_PART_ORDER',
    make: (f) => (raw(f, 'd.001'), raw(f, 'd.002'), undefined),
    command: ['info', 'd.002'],
    says: /--from-option [\w-]+=\w+/,
  },
  {
    code: 'E_PARENT_MISSING',
    make: (f) => strayChild(f, 'qcow2'),
    command: ['hash', 'child.qcow2'],
    says: /--parent-map OLD=NEW/,
    follow: () => [['hash', 'child.qcow2', '--parent-map', 'base.qcow2=a place/base.qcow2']],
  },
  {
    code: 'E_PARENT_MISSING',
    make: (f) => strayChild(f, 'vhdx'),
    command: ['hash', 'child.vhdx'],
    says: /--search DIR/,
    follow: () => [['hash', 'child.vhdx', '--search', 'a place']],
  },
  {
    code: 'E_REFERENCE_NOT_ALLOWED',
    make: (f) => {
      fs.mkdirSync(join(f, 'in'))
      fs.mkdirSync(join(f, "it's a\nplace"))
      raw(f, "it's a\nplace/a.raw")
      return [['create', 'in/c.qcow2', '--parent', "it's a\nplace/a.raw"]]
    },
    command: ['hash', 'in/c.qcow2'],
    says: /(--allow-reference .*)$/m,
  },
  {
    code: 'E_PARENT_AMBIGUOUS',
    make: (f) => {
      for (const folder of ['one', 'the other']) {
        fs.mkdirSync(join(f, folder))
        raw(f, `${folder}/base.raw`)
      }
      raw(f, 'base.raw')
      return [
        ['create', 'c.qcow2', '--parent', 'base.raw'],
        ['rm', 'base.raw'],
      ]
    },
    command: ['hash', 'c.qcow2', '--search', 'one', '--search', 'the other'],
    says: /(--parent-map .*)$/m,
  },
  {
    code: 'E_PARENT_FORMAT_UNKNOWN',
    make: (f) => {
      raw(f, 'a.raw')
      return [
        ['convert', 'a.raw', 'base.qcow2'],
        ['create', 'c.qcow2', '--parent', 'base.qcow2'],
        ['forget-format', 'c.qcow2'],
      ]
    },
    command: ['hash', 'c.qcow2'],
    says: /--parent-format \w+/,
  },
  {
    code: 'E_PARENT_MAP',
    make: (f) => (raw(f, 'a.raw'), undefined),
    command: ['hash', 'a.raw', '--parent-map', 'nothing'],
    says: /--parent-map '(.*)'/,
    follow: (value) => [['hash', 'a.raw', '--parent-map', value]],
  },
  {
    code: 'E_CHECKSUM',
    make: (f) => (
      raw(f, 'a.raw'),
      [
        ['convert', 'a.raw', 'v.vhd'],
        ['footer', 'v.vhd'],
      ]
    ),
    command: ['hash', 'v.vhd'],
    says: /--from-option [\w-]+=\w+/,
  },
  {
    code: 'E_USAGE',
    make: () => undefined,
    command: ['convert'],
    says: /vdisk (convert --help)/,
    follow: () => [['convert', '--help']],
  },
  { code: 'E_USAGE', make: () => undefined, command: ['info', '--nonsense'], says: /--help/ },
  {
    code: 'E_PART_PAST_END',
    make: (f) => {
      disk(f, 'd.raw', 'label: dos\nsize=8MiB\nsize=16MiB\n')
      fs.truncateSync(join(f, 'd.raw'), 12 * mebibyte)
      return undefined
    },
    command: ['hash', 'd.raw@2'],
    says: /convert (?:and )?--size/,
    follow: () => [
      ['convert', 'd.raw', 'whole.raw', '--size', '32M'],
      ['hash', 'whole.raw@2'],
    ],
  },
  {
    code: 'E_TABLE_DAMAGED',
    make: (f) => {
      disk(f, 'd.raw', 'label: gpt\nsize=8MiB\n')
      fs.truncateSync(join(f, 'd.raw'), 24 * mebibyte)
      return undefined
    },
    command: ['partition', 'convert', 'd.raw', 'o.raw', '--sector-size', '4096'],
    says: /(vdisk partition fix)/,
    follow: () => [
      ['partition', 'fix', 'd.raw', '--in-place'],
      ['partition', 'convert', 'd.raw', 'o.raw', '--sector-size', '4096'],
    ],
  },
  {
    code: 'E_TABLE_DAMAGED',
    make: (f) => {
      disk(f, 'd.raw', 'label: dos\nsize=8MiB\nsize=16MiB\n')
      fs.truncateSync(join(f, 'd.raw'), 12 * mebibyte)
      return undefined
    },
    command: ['partition', 'convert', 'd.raw', 'o.raw', '--sector-size', '4096'],
    says: /vdisk convert with --size/,
    follow: () => [
      ['convert', 'd.raw', 'w.raw', '--size', '32M'],
      ['partition', 'convert', 'w.raw', 'o.raw', '--sector-size', '4096'],
    ],
  },
  {
    code: 'E_SECTOR_MISFIT',
    make: (f) => (disk(f, 'd.raw', 'label: gpt\nstart=2048,size=16385\n'), undefined),
    command: ['partition', 'convert', 'd.raw', 'o.raw', '--sector-size', '4096'],
    says: /--round-ends/,
  },
  {
    code: 'E_IS_DIRECTORY',
    make: (f) => (ext(f, 'e.raw'), undefined),
    command: ['cp', 'e.raw:/lost+found', 'out'],
    says: /--recursive/,
  },
  {
    code: 'E_IS_DIRECTORY',
    make: (f) => (ext(f, 'e.raw'), undefined),
    command: ['cat', 'e.raw:/lost+found'],
    says: /vdisk (ls) shows/,
    follow: (command) => [[command, 'e.raw:/lost+found']],
  },
  {
    code: 'E_PARENT_ID',
    make: (f) => {
      raw(f, 'a.raw')
      return [
        ['convert', 'a.raw', 'base.vhdx'],
        ['create', 'c.vhdx', '--parent', 'base.vhdx'],
        ['convert', 'a.raw', 'other.vhdx'],
      ]
    },
    command: ['chain', 'relink', 'c.vhdx', 'other.vhdx'],
    says: /--force-identity/,
  },
  {
    code: 'E_OTHER_CHILDREN',
    make: (f) => {
      raw(f, 'a.raw')
      return [
        ['convert', 'a.raw', 'base.qcow2'],
        ['create', 'c.qcow2', '--parent', 'base.qcow2'],
        ['create', 'd.qcow2', '--parent', 'base.qcow2'],
      ]
    },
    command: ['chain', 'commit', 'c.qcow2'],
    says: /--allow-other-children/,
  },
  {
    code: 'E_OTHER_CHILDREN',
    make: (f) => {
      raw(f, 'a.raw')
      return [
        ['convert', 'a.raw', 'base.vhdx'],
        ['create', 'c.vhdx', '--parent', 'base.vhdx'],
      ]
    },
    command: ['resize', 'base.vhdx', '+8M'],
    says: /--allow-other-children/,
    follow: () => [['resize', 'base.vhdx', '+8M', '--allow-other-children']],
  },
  ...[
    ['create', 'base.qcow2', '1M', '--force'],
    ['serve', 'base.qcow2', '--write', '--socket', 'socket'],
  ].map((command) => ({
    code: 'E_OTHER_CHILDREN',
    make: (f: string) => {
      raw(f, 'a.raw')
      return [
        ['convert', 'a.raw', 'base.qcow2'],
        ['create', 'c.qcow2', '--parent', 'base.qcow2'],
      ]
    },
    command,
    says: /vdisk chain flatten[^]*--allow-other-children/,
    follow: () => [['create', 'base.qcow2', '1M', '--force', '--allow-other-children']],
  })),
  {
    code: 'E_MISPLACED_METADATA',
    make: (f) => {
      const bytes = Buffer.alloc(4 * mebibyte)
      bytes.write('Intel Raid ISM Cfg Sig. 1.1.00', bytes.length - 1024)
      put(f, 'm.raw', bytes)
      return undefined
    },
    command: ['resize', 'm.raw', '8M'],
    says: /--allow-misplaced-metadata/,
  },
  {
    code: 'E_TARGET',
    make: (f) => (disk(f, 'd.raw', 'label: gpt\nsize=8MiB\n'), change(f, 'd.raw', 512 + 40, 'x'), undefined),
    command: ['partition', 'fix', 'd.raw'],
    says: /--output FILE.*--in-place/,
    follow: () => [
      ['partition', 'fix', 'd.raw', '--output', 'o.raw'],
      ['partition', 'fix', 'd.raw', '--in-place'],
    ],
  },
  {
    code: 'E_TARGET',
    make: () => undefined,
    command: ['create', 'https://ann:secret@images.example/d.raw', '8M'],
    says: /^(?!.*secret).*Name a file\. vdisk convert also writes to/s,
    follow: () => [['create', 'd.raw', '8M']],
  },
  {
    code: 'E_TARGET',
    make: (f) => (disk(f, 'd.raw', 'label: gpt\nsize=8MiB\n'), raw(f, 'a.raw'), undefined),
    command: ['partition', 'inject', 'd.raw@1', 'a.raw'],
    says: /--output FILE.*--in-place/,
    follow: () => [
      ['partition', 'inject', 'd.raw@1', 'a.raw', '--output', 'o.raw'],
      ['partition', 'inject', 'd.raw@1', 'a.raw', '--in-place'],
    ],
  },
  {
    code: 'E_NO_PARTITION',
    make: (f) => (disk(f, 'a disk.raw', 'label: gpt\nsize=8MiB\n'), undefined),
    command: ['partition', 'extract', 'a disk.raw', 'o.raw'],
    says: /Name it: (.*)$/m,
    follow: (name) => [['partition', 'extract', ...words(name), 'o.raw']],
  },
  {
    code: 'E_DOES_NOT_FIT',
    make: (f) => (
      disk(f, 'd.raw', 'label: gpt\nsize=1MiB\n'),
      fs.writeFileSync(join(f, 'a.raw'), ''),
      fs.truncateSync(join(f, 'a.raw'), 2 * mebibyte),
      undefined
    ),
    command: ['partition', 'inject', 'd.raw@1', 'a.raw', '--in-place'],
    says: /convert --size/,
    follow: () => [
      ['convert', 'a.raw', 'b.raw', '--size', '1M'],
      ['partition', 'inject', 'd.raw@1', 'b.raw', '--in-place'],
    ],
  },
  {
    code: 'E_SAME_FILE',
    make: (f) => (disk(f, 'd.raw', 'label: gpt\nsize=2MiB\nsize=4MiB\n'), undefined),
    command: ['partition', 'inject', 'd.raw@2', 'd.raw@1', '--in-place'],
    says: /vdisk (partition extract)/,
    follow: () => [
      ['partition', 'extract', 'd.raw@1', 'p.raw'],
      ['partition', 'inject', 'd.raw@2', 'p.raw', '--in-place'],
    ],
  },
  {
    code: 'E_NOT_A_DEVICE',
    make: (f) => (raw(f, 'a file.raw'), undefined),
    command: ['image', 'a file.raw', 'o.qcow2'],
    says: /vdisk (convert .*) TARGET/,
    follow: (line) => [[...words(line), 'o.qcow2']],
  },
  {
    code: 'E_REPAIR_TARGET',
    make: (f) => (
      raw(f, 'a.raw'),
      [
        ['convert', 'a.raw', 'v.vhd'],
        ['copy-footer', 'v.vhd'],
      ]
    ),
    command: ['repair', 'v.vhd'],
    says: /--dry-run/,
  },
  {
    code: 'E_NO_REPAIR',
    make: (f) => (
      raw(f, 'a.raw'),
      [
        ['convert', 'a.raw', 'q.qcow2'],
        ['rename', 'q.qcow2', 'q.raw'],
      ]
    ),
    command: ['repair', 'q.raw', '--from', 'raw', '--dry-run'],
    says: /say so with --from/,
    follow: () => [['repair', 'q.raw', '--from', 'qcow2', '--dry-run']],
  },
  {
    code: 'E_SIZE',
    make: () => undefined,
    command: ['create', 'disk.vhdx'],
    says: /vdisk (create .*)$/m,
    follow: (line) => [words(line)],
  },
  {
    code: 'E_FS_DIRTY',
    make: (f) => {
      ext(f, 'e.raw')
      const set = spawnSync('debugfs', ['-w', '-R', 'ssv state 0', join(f, 'e.raw')], { encoding: 'utf8' })
      assert.equal(set.status, 0, set.stderr)
      return undefined
    },
    command: ['convert', 'e.raw', 'o.raw', '--used-only'],
    says: /--if-dirty whole/,
  },
  {
    code: 'E_CUTS_CONTENT',
    make: (f) => (raw(f, 'a.raw', 2 * mebibyte), undefined),
    command: ['resize', 'a.raw', '1M'],
    says: /--shrink/,
  },
  {
    code: 'E_OPTIONS',
    make: (f) => (raw(f, 'a.raw'), undefined),
    command: ['convert', 'a.raw', 'o.qcow2', '--cpus', '2'],
    says: /--to ova/,
    follow: () => [['convert', 'a.raw', 'o.img', '--to', 'ova', '--cpus', '2']],
  },
  {
    code: 'E_NO_RESIZE',
    make: (f) => (raw(f, 'a.raw', 8 * mebibyte), [['qcow1', 'a.raw', 'q.qcow']]),
    command: ['resize', 'q.qcow', '16M'],
    says: /Convert it/,
    follow: () => [['convert', 'q.qcow', 'o.qcow2', '--size', '16M']],
  },
  {
    code: 'E_COMPACT_TARGET',
    make: (f) => (raw(f, 'a.raw'), [['convert', 'a.raw', 'q.qcow2']]),
    command: ['compact', 'q.qcow2'],
    says: /--output FILE.*--in-place/,
    follow: () => [
      ['compact', 'q.qcow2', '--output', 'o.qcow2'],
      ['compact', 'q.qcow2', '--in-place'],
    ],
  },
  {
    code: 'E_COMPACT_CHILD',
    make: (f) => (
      raw(f, 'a.raw'),
      [
        ['convert', 'a.raw', 'b.vhd'],
        ['create', 'c.vhd', '--parent', 'b.vhd'],
      ]
    ),
    command: ['compact', 'c.vhd', '--output', 'o.vhd'],
    says: /vdisk (chain flatten)/,
    follow: () => [
      ['chain', 'flatten', 'c.vhd', 'f.vhd'],
      ['compact', 'f.vhd', '--output', 'o.vhd'],
    ],
  },
  {
    code: 'E_REBASE_TARGET',
    make: (f) => (
      raw(f, 'a.raw'),
      [
        ['convert', 'a.raw', 'b.qcow2'],
        ['create', 'c.qcow2', '--parent', 'b.qcow2'],
      ]
    ),
    command: ['chain', 'rebase', 'c.qcow2'],
    says: /--no-parent/,
  },
  {
    code: 'E_NO_PARENTS',
    make: (f) => (raw(f, 'a.raw'), undefined),
    command: ['create', 'c.raw', '--parent', 'a.raw'],
    says: /vdisk (formats)/,
    follow: (command) => [[command]],
  },
  {
    code: 'E_STREAM',
    make: (f) => (ext(f, 'e.raw'), undefined),
    command: ['cat', 'e.raw:/lost+found', '--json'],
    says: /vdisk (ls --json)/,
    follow: () => [['ls', 'e.raw:/', '--json']],
  },
  {
    code: 'E_DIRTY',
    make: (f) => (
      raw(f, 'a.raw'),
      [
        ['convert', 'a.raw', 'q.qcow2'],
        ['dirty', 'q.qcow2'],
      ]
    ),
    command: ['resize', 'q.qcow2', '2M'],
    says: /vdisk (repair) mends it/,
    follow: (command) => [
      [command, 'q.qcow2', '--in-place'],
      ['resize', 'q.qcow2', '2M'],
    ],
  },
  {
    code: 'E_NOT_WRITABLE',
    make: (f) => (
      raw(f, 'a.raw'),
      [
        ['convert', 'a.raw', 'v.vhd'],
        ['end-footer', 'v.vhd'],
      ]
    ),
    command: ['resize', 'v.vhd', '2M'],
    says: /vdisk (repair)/,
    follow: (command) => [
      [command, 'v.vhd', '--in-place'],
      ['resize', 'v.vhd', '2M'],
    ],
  },
  {
    code: 'E_READ_ONLY_FORMAT',
    make: (f) => (raw(f, 'a.raw'), undefined),
    command: ['convert', 'a.raw', 'o.bochs', '--to', 'bochs'],
    says: /vdisk (formats)/,
    follow: (command) => [[command]],
  },
  {
    code: 'E_HEADER_FULL',
    make: (f) => {
      raw(f, 'a.raw')
      const long = join('x'.repeat(200), 'y'.repeat(200))
      fs.mkdirSync(join(f, long), { recursive: true })
      return [
        ['convert', 'a.raw', 'b.qcow2'],
        ['create', 'c.qcow2', '--parent', 'b.qcow2', '-o', 'cluster-size=512'],
        ['convert', 'a.raw', join(long, 'b.qcow2')],
      ]
    },
    command: ['chain', 'relink', 'c.qcow2', join('x'.repeat(200), 'y'.repeat(200), 'b.qcow2')],
    says: /(larger cluster-size|with --parent)/,
    follow: () => [
      [
        'convert',
        'c.qcow2',
        'd.qcow2',
        '--parent',
        join('x'.repeat(200), 'y'.repeat(200), 'b.qcow2'),
        '-o',
        'cluster-size=64K',
      ],
    ],
  },
  {
    code: 'E_UNKNOWN_PLATFORM',
    make: () => undefined,
    command: ['platforms', 'azur'],
    says: /`vdisk (platforms)`/,
    follow: () => [['platforms']],
  },
  {
    code: 'E_PLATFORM_SIZE',
    make: (f) => (disk(f, 'd.raw', 'label: gpt\nsize=8MiB\n'), undefined),
    command: ['convert', 'd.raw', 'o.vhd', '--for', 'azure-gen2', '--size', '40000000'],
    says: /Use (--size \d+)/,
    follow: (taken) => [['convert', 'd.raw', 'o.vhd', '--for', 'azure-gen2', ...words(taken)]],
  },
  {
    code: 'E_PLATFORM_RULE',
    make: (f) => {
      disk(f, 'd.raw', 'label: gpt\nsize=8MiB\n')
      return [['partition', 'convert', 'd.raw', 'k.raw', '--sector-size', '4096']]
    },
    command: ['convert', 'k.raw', 'o.vhd', '--for', 'azure-gen2'],
    says: /vdisk (partition convert k.raw OTHER --sector-size \d+)/,
    follow: (taken) => [words(taken.replace('OTHER', 'p.raw')), ['convert', 'p.raw', 'o.vhd', '--for', 'azure-gen2']],
  },
  {
    code: 'E_DESCRIPTOR_MISSING',
    make: (f) => (ext(f, 'd.hdd.0.{5fbaabe3-6958-40ff-92a7-860e329aab41}.hds'), undefined),
    command: ['info', 'd.hdd.0.{5fbaabe3-6958-40ff-92a7-860e329aab41}.hds'],
    says: /--from raw/,
  },
  {
    code: 'E_BATCH_RUNS',
    make: (f) => {
      raw(f, 'd.raw')
      put(f, 'jobs.yaml', Buffer.from('- info d.raw'))
      fs.mkdirSync(join(f, 'jobs.yaml.state'))
      holdLock(join(f, 'jobs.yaml.state/lock'))
      return undefined
    },
    command: ['batch', 'jobs.yaml'],
    says: /(--state)/,
    follow: () => [['batch', 'jobs.yaml', '--state', 'other']],
  },
]

/** Words of a line, as a shell would have them. */
function words(line: string): string[] {
  const split = spawnSync('bash', ['-c', `printf '%s\\0' ${line}`], { encoding: 'utf8' })
  assert.equal(split.status, 0, split.stderr)
  return split.stdout.split('\0').slice(0, -1)
}

/** Steps that are none of vdisk's. */
const otherSteps: Readonly<Record<string, (folder: string, name: string, to?: string) => void>> = {
  rm: (folder, name) => fs.rmSync(join(folder, name)),
  rename: (folder, name, to = '') => fs.renameSync(join(folder, name), join(folder, to)),
  footer: (folder, name) => {
    // Both footers of a VHD get another checksum.
    for (const position of [64, -512 + 64]) change(folder, name, position, Uint8Array.of(1, 2, 3, 4))
  },
  'copy-footer': (folder, name) => change(folder, name, 64, Uint8Array.of(1, 2, 3, 4)),
  'end-footer': (folder, name) => change(folder, name, -512 + 64, Uint8Array.of(1, 2, 3, 4)),
  dirty: (folder, name) => change(folder, name, 79, Uint8Array.of(1)),
  'forget-format': (folder, name) => {
    const bytes = fs.readFileSync(join(folder, name))
    const at = bytes.indexOf(Buffer.from('e2792aca', 'hex'))
    assert.ok(at > 0)
    // The extension becomes one that nobody knows.
    change(folder, name, at, Buffer.from('12345678', 'hex'))
  },
  qcow1: (folder, name, to = '') => {
    const made = spawnSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow', join(folder, name), join(folder, to)])
    assert.equal(made.status, 0, String(made.stderr))
  },
}

/** What splits lines into words, and makes the tables and filesystems of the cases. */
const programs = ['bash', 'sfdisk', 'mke2fs', 'debugfs', 'qemu-img']

for (const [number, { code, make, command, env, says, follow, ends = 0 }] of cases.entries()) {
  test(`${number} ${code}: vdisk ${command.join(' ').slice(0, 80)}`, async (t) => {
    if (!programs.every((program) => have(t, program))) return
    const folder = testFolder(t)
    for (const step of make(folder) ?? []) {
      const [first = '', ...rest] = step
      const other = otherSteps[first]
      if (other !== undefined) other(folder, rest[0] ?? '', rest[1])
      else {
        const made = await vdisk(step, { cwd: folder })
        assert.equal(made.code, 0, `${step.join(' ')}: ${made.stderr}`)
      }
    }
    if (code === 'E_PARENT_MISSING') {
      const [name = ''] = fs.readdirSync(folder).filter((each) => each.startsWith('base.'))
      fs.renameSync(join(folder, name), join(folder, 'a place', name))
    }
    const failed = await vdisk(command, { cwd: folder, env })
    assert.notEqual(failed.code, 0, `goes on: ${String(failed.stdout)}`)
    const said = failed.stderr + String(failed.stdout)
    const found = says.exec(said)
    assert.ok(found !== null, `says otherwise (exit ${failed.code}):\n${said}`)
    const taken = found[1] ?? found[0]
    const commands = follow?.(taken) ?? [[...command, ...words(taken)]]
    for (const [index, next] of commands.entries()) {
      const result = await vdisk(next, { cwd: folder, env })
      const isLast = index === commands.length - 1
      assert.equal(result.code, isLast ? ends : 0, `vdisk ${next.join(' ')}:\n${result.stderr}`)
    }
  })
}

/**
 * Files, or codes, whose hints are tried in another test, which is named; or the reason why nothing here can try them.
 */
const elsewhere: Readonly<Record<string, string>> = {
  'operations/device/content-guards.ts': 'test/unit/operations/device/guards.test.ts',
  'operations/device/source-guards.ts': 'test/unit/operations/device/guards.test.ts',
  'operations/device/use-guards.ts': 'test/unit/operations/device/guards.test.ts',
  'commands/commands.ts': 'test/e2e/discovery.test.ts',
  'cli/usage-error.ts': 'test/e2e/discovery.test.ts',
  'operations/open/image-file.ts': 'test/unit/location/whole-images.test.ts',
  'operations/view/server.ts': 'test/e2e/view.test.ts',
  'formats/dmg/trailer.ts': 'test/hostile/damaged-dmg.test.ts',
  'operations/device/clone.ts': 'test/interop/clone.test.ts',
  'operations/device/restore.ts': 'test/interop/restore.test.ts',
  'operations/device/resuming.ts': 'test/e2e/resume-places.test.ts',
  'operations/resume/device-session.ts': 'test/e2e/resume-places.test.ts',
  'operations/transfer/sink-device.ts': 'test/e2e/resume-places.test.ts',
  'operations/device/confirmation.ts': 'test/interop/restore.test.ts',
  'operations/device/target.ts': 'test/interop/restore.test.ts',
  'operations/device/opening.ts': 'test/interop/in-use.test.ts',
  'operations/imaging/image.ts': 'test/interop/image-disk.test.ts',
  'operations/imaging/image-options.ts': 'test/unit/operations/imaging/combinations.test.ts',
  'operations/imaging/image-address.ts': 'test/interop/image-addresses.test.ts',
  'operations/library/own-store.ts': 'test/unit/library.test.ts',
  'engine/content-sum.ts': 'test/unit/engine/content-sum.test.ts',
  'operations/imaging/guards.ts': 'test/interop/image-disk.test.ts',
  'operations/imaging/changed-blocks.ts': 'test/interop/image-bitmaps.test.ts',
  'operations/imaging/virtual-disk.ts': 'test/interop/image-bitmaps.test.ts',
  'formats/qcow2/format/bitmaps.ts': 'test/interop/qcow2-bitmaps.test.ts',
  'location/nbd.ts': 'test/interop/qcow2-bitmaps.test.ts',
  'operations/transfer/content.ts': 'test/interop/qcow2-bitmaps.test.ts',
  'operations/transfer/sink-upload.ts': 'test/unit/operations/upload.test.ts',
  'operations/transfer/target-output.ts': 'test/interop/http-sources.test.ts',
  'formats/disk-folder.ts': 'test/e2e/backup-sets.test.ts',
  'location/backup-set.ts': 'test/e2e/backup-sets.test.ts',
  'operations/backup/prune.ts': 'test/e2e/backup-sets.test.ts',
  'operations/backup/restore.ts': 'test/e2e/backup-sets.test.ts',
  'operations/backup/check.ts': 'test/interop/backup-odd-sets.test.ts',
  'operations/backup/init.ts': 'test/e2e/backup-sets.test.ts',
  'operations/backup/schedule.ts': 'test/unit/operations/backup-schedule.test.ts',
  'operations/backup/run.ts': 'test/interop/backup-damaged-sets.test.ts',
  'operations/backup/set.ts': 'test/e2e/backup-sets.test.ts',
  'operations/backup/settings.ts': 'test/e2e/backup-sets.test.ts',
  'operations/imaging/snapshot-choice.ts': 'test/e2e/image-snapshot.test.ts',
  'operations/imaging/since.ts': 'test/interop/incremental.test.ts',
  'operations/imaging/blocks-file.ts': 'test/interop/incremental.test.ts',
  'operations/in-use/guard.ts': 'test/interop/in-use.test.ts',
  'operations/partition/table-overlap.ts': 'test/interop/table-targets.test.ts',
  'operations/mount/mounter.ts': 'test/interop/mount.test.ts',
  'operations/mount/choose.ts': 'test/interop/mount.test.ts',
  'operations/mount/unmount.ts': 'test/interop/mount.test.ts',
  'operations/mount/mount.ts': 'test/interop/mount-user.test.ts',
  'mount/fuse/attach.ts': 'test/interop/mount-user.test.ts',
  'mount/nbd/server.ts': 'test/interop/nbd-serve.test.ts',
  'operations/serve/serve.ts': 'test/interop/nbd-serve.test.ts',
  'location/azure/page-blob-upload.ts': 'test/interop/azure-blobs.test.ts',
  'operations/transfer/sink-export.ts': 'test/interop/nbd-client.test.ts',
  'formats/probe.ts': 'test/unit/formats/open.test.ts',
  'operations/transfer/target.ts': 'test/unit/operations',
  'device/disk-store.ts': 'test/unit/device',
  'device/freeze.ts': 'needs a mounted disk of its own that can be frozen',
  'device/darwin.ts': 'another system',
  'device/win32.ts': 'another system',
  'formats/qcow/reader.ts': 'test/hostile/claimed-size.test.ts',
  'formats/qcow2/read/mapped.ts': 'test/hostile/claimed-size.test.ts',
  'formats/vhd/read/blocks.ts': 'test/hostile/claimed-size.test.ts',
  'block/draft-store.ts': 'test/unit/block/draft-store.test.ts',
  E_NOT_GROWABLE: 'test/unit/formats/qcow2-repair.test.ts',
  'formats/qcow2/write/writable.ts': 'test/unit/formats',
  'formats/vhdx/write/space-map.ts': 'test/unit/formats',
  'cli/streams.ts': 'needs a terminal',
  'cli/error-text.ts': 'a bug of vdisk itself',
  'cli/plugin-registry.ts': 'test/e2e/plugins.test.ts',
  'operations/plugins/change.ts': 'test/e2e/plugins.test.ts',
  'codec/stream/zstd.ts': 'a program of others',
  'formats/compressed/zip.ts': 'a program of others',
  'mount/nbd/socket-path.ts': 'test/interop/nbd-serve.test.ts',
  'formats/vmdk/format/descriptor.ts': 'the devices of an ESX host',
  'formats/vmdk/read/opening.ts': 'test/unit/formats/vmdk-read.test.ts',
  'formats/vmdk/read/set.ts': 'test/unit/formats/vmdk-read.test.ts',
  'device/linux.ts': 'a command that lists disks',
  'operations/bmap/use.ts': 'test/interop/block-map.test.ts',
  'block/folder-image.ts': 'the commands that it names are run by test/interop/disk-folders.test.ts',
}

interface Hint {
  readonly place: string
  readonly file: string
  readonly text: string
  readonly code: string | undefined
}

/** Every hint in the sources that names a command or a flag. */
function hintsInSources(): Hint[] {
  const src = join(root, 'src')
  const files = fs.readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'))
  return files.flatMap((file) => {
    const source = ts.createSourceFile(file, fs.readFileSync(join(src, file), 'utf8'), ts.ScriptTarget.Latest, true)
    const found: Hint[] = []
    const visit = (node: ts.Node): void => {
      if (ts.isPropertyAssignment(node) && node.name.getText(source) === 'hint') {
        const text = node.initializer.getText(source)
        const line = source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1
        if (/(?:^|\W)--[a-z]|vdisk [a-z]/.test(text))
          found.push({ place: `${file}:${line}`, file, text, code: codeOf(node, source) })
      }
      ts.forEachChild(node, visit)
    }
    visit(source)
    return found
  })
}

/** The code of the error that a hint is given with: the nearest one around it. */
function codeOf(hint: ts.Node, source: ts.SourceFile): string | undefined {
  for (let node = hint.parent; node !== source; node = node.parent) {
    const [, code] = /'(E_[A-Z0-9_]+)'/.exec(node.getText(source)) ?? []
    if (code !== undefined) return code
  }
  return undefined
}

test('every flag and every command that a hint names is there', () => {
  const manifest = JSON.parse(fs.readFileSync(join(root, 'oclif.manifest.json'), 'utf8')) as {
    commands: Record<string, { flags: Record<string, unknown> }>
  }
  const flags = new Set(Object.values(manifest.commands).flatMap((command) => Object.keys(command.flags)))
  const names = Object.keys(manifest.commands).flatMap((id) => [id.split(':')[0], id.replace(':', ' ')])
  const commands = new Set(names)
  // oclif's own, and those of zstd -d, zip, partx, losetup, mdadm, npm, qemu-nbd, az disk create, curl.
  const others = new Set('help long out add partscan stop prefix bitmap upload-size-bytes upload-file'.split(' '))
  const hints = hintsInSources()
  assert.ok(hints.length > 80)
  for (const { place, text } of hints) {
    for (const [, flag = ''] of text.matchAll(/(?:^|[^\w-])--([a-z][a-z-]*)/g))
      assert.ok(
        flags.has(flag) || flags.has(flag.replace(/^no-/, '')) || others.has(flag),
        `${place}: --${flag} is no flag`,
      )
    for (const [, first = '', second = ''] of text.matchAll(/vdisk (?!never)([a-z]+)(?: ([a-z]+))?/g))
      assert.ok(commands.has(`${first} ${second}`) || commands.has(first), `${place}: vdisk ${first} is no command`)
  }
})

test('every hint that names a command or a flag is tried: here, or where it is said', () => {
  const tried = new Set(cases.map(({ code }) => code))
  const untried = hintsInSources().filter(
    ({ file, code = '' }) => !tried.has(code) && elsewhere[file] === undefined && elsewhere[code] === undefined,
  )
  assert.deepEqual(
    untried.map(({ place, code }) => `${place}: ${code ?? '?'}`),
    [],
  )
  for (const where of Object.values(elsewhere))
    if (where.startsWith('test/')) assert.ok(fs.existsSync(join(root, where)), where)
})

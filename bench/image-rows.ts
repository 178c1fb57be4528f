import { randomFillSync } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { run } from './measure.js'
import { at, dataSize, files, options, peer, program, qemu, shell, vdisk, type Command, type Row } from './row.js'

/** A disk of twice its data, the data random; and a small one. */
export function makeInputs(): void {
  fs.mkdirSync(options.folder, { recursive: true })
  const chunk = Buffer.allocUnsafe(1048576)
  for (const [name, size] of [
    [files.random, dataSize],
    [files.small, 16 * 1048576],
  ] as const) {
    const descriptor = fs.openSync(name, 'w')
    for (let done = 0; done < size; done += chunk.length)
      fs.writeSync(descriptor, randomFillSync(chunk), 0, chunk.length, done)
    fs.ftruncateSync(descriptor, size * 2)
    fs.fsyncSync(descriptor)
    fs.closeSync(descriptor)
  }
  // Files of this machine, one behind the other: what a compressor meets in a disk.
  const descriptor = fs.openSync(files.files, 'w')
  let done = 0
  for (const folder of ['/usr/bin', '/usr/lib/x86_64-linux-gnu', '/usr/share/doc']) {
    for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
      if (!entry.isFile() || done >= dataSize / 2) continue
      const bytes = fs.readFileSync(path.join(folder, entry.name))
      fs.writeSync(descriptor, bytes, 0, bytes.length, done)
      done += Math.ceil(bytes.length / 4096) * 4096
    }
  }
  fs.ftruncateSync(descriptor, Math.ceil(done / 1048576) * 1048576)
  fs.fsyncSync(descriptor)
  fs.closeSync(descriptor)
}

/** Images of the input in every format, made by qemu-img and the usual programs. @param isNeeded by a row that runs. */
export async function makeImages(isNeeded: (file: string) => boolean): Promise<void> {
  const convert = async (source: string, target: string, ...how: string[]): Promise<void> => {
    if (isNeeded(target)) await run('qemu-img', ['convert', ...how, source, target], target)
  }
  for (const [name, format] of formats) await convert(files.random, at(`in.${name}`), '-O', format)
  for (const type of ['zlib', 'zstd']) {
    const how = ['-c', '-O', 'qcow2', '-o', `compression_type=${type}`]
    await convert(files.files, at(`in-${type}.qcow2`), ...how)
  }
  for (const format of ['vmdk', 'vdi']) await convert(files.random, at(`in.${format}`), '-O', format)
  await convert(files.files, at('in-stream.vmdk'), '-O', 'vmdk', '-o', 'subformat=streamOptimized')
  for (const [extension, command] of [
    ['gz', 'gzip -c'],
    ['xz', 'xz -T0 -c'],
    ['zst', 'zstd -q'],
  ] as const) {
    const target = at(`in.raw.${extension}`)
    if (isNeeded(target)) await run('sh', ['-c', `${command} < "$0" > "$1"`, files.files, target])
  }
}

const formats = [
  ['raw', 'raw'],
  ['qcow2', 'qcow2'],
  ['vhd', 'vpc'],
  ['vhdx', 'vhdx'],
] as const

function conversions(): Row[] {
  const pairs = [
    ...formats.map((format) => [formats[0], format] as const),
    ...formats.slice(1).map((format) => [format, formats[0]] as const),
  ]
  return pairs.flatMap(([[from, fromQemu], [to, toQemu]]) => {
    const source = from === 'raw' ? files.random : at(`in.${from}`)
    const target = `${files.out}.${to}`
    const peers = [qemu('convert', '-W', '-m', '16', '-f', fromQemu, '-O', toQemu, source, target)]
    return [
      {
        name: `${from} → ${to}, not flushed`,
        goal: 1,
        ours: vdisk('convert', source, target, '--no-flush'),
        peers,
        target,
      },
      {
        name: `${from} → ${to}, on the medium`,
        goal: 0.8,
        ours: vdisk('convert', source, target),
        peers,
        target,
        flushed: true,
      },
    ]
  })
}

/** A server from its start until nbdcopy has read all of the disk. */
function serving(): Row[] {
  const socket = at('socket')
  const copied = (...server: readonly string[]): readonly string[] => [
    'sh',
    '-c',
    'rm -f "$0"; "$@" & while ! [ -S "$0" ]; do sleep 0.005; done; nbdcopy "nbd+unix:///?socket=$0" null:; wait',
    socket,
    ...server,
  ]
  return [
    ['raw', 'raw', files.random],
    ['qcow2', 'qcow2', at('in.qcow2')],
    ['vhdx', 'vhdx', at('in.vhdx')],
  ].map(([name = '', format = '', file = '']) => ({
    name: `serve of ${name}, read once by nbdcopy`,
    goal: 1,
    ours: {
      name: 'vdisk serve',
      argv: copied(process.execPath, program, 'serve', file, '--from', format, '--socket', socket),
    },
    peers: [{ name: 'qemu-nbd', argv: copied('qemu-nbd', '-r', '-e', '8', '-f', format, '-k', socket, file) }],
  }))
}

/** Compressed files of a raw disk, both ways, against the programs that make them. */
function compressedFiles(): Row[] {
  const raw = `${files.out}.raw`
  const reading = (extension: string, name: string, command: string): Row => ({
    name: `raw.${extension} → raw`,
    goal: 1.1,
    ours: vdisk('convert', at(`in.raw.${extension}`), raw, '--no-flush'),
    peers: [shell(name, command, at(`in.raw.${extension}`), raw)],
    target: raw,
  })
  const writing = (extension: string, program: string, ...args: string[]): Row => {
    const target = `${files.out}.raw.${extension}`
    return {
      name: `raw → raw.${extension}`,
      goal: 1.1,
      ours: vdisk('convert', files.files, target, '--no-flush'),
      peers: [
        shell([program, ...args].join(' '), `${[program, ...args].join(' ')} < "$0" > "$1"`, files.files, target),
      ],
      target,
    }
  }
  return [
    reading('gz', 'gzip -dc and dd', 'gzip -dc "$0" | dd of="$1" bs=1M iflag=fullblock conv=sparse status=none'),
    reading('xz', 'xz -T0 -dc', 'xz -T0 -dc "$0" > "$1"'),
    reading('zst', 'zstd -dc', 'zstd -dcq "$0" > "$1"'),
    writing('gz', 'pigz', '-c'),
    writing('xz', 'xz', '-T0', '-c'),
    writing('zst', 'zstd', '-T0', '-qc'),
  ]
}

/** VMDK and VDI, both ways, against qemu-img. */
function otherFormats(): Row[] {
  const pair = (
    name: string,
    source: string,
    target: string,
    ours: readonly string[],
    theirs: readonly string[],
  ): Row => ({
    name,
    goal: 1,
    ours: vdisk('convert', source, target, '--no-flush', ...ours),
    peers: [qemu('convert', '-W', '-m', '16', ...theirs, source, target)],
    target,
  })
  const raw = `${files.out}.raw`
  const optimised = ['-o', 'subformat=streamOptimized']
  return [
    pair('raw → vmdk', files.random, `${files.out}.vmdk`, [], ['-O', 'vmdk']),
    pair('vmdk → raw', at('in.vmdk'), raw, [], ['-O', 'raw']),
    pair('raw → vdi', files.random, `${files.out}.vdi`, [], ['-O', 'vdi']),
    pair('vdi → raw', at('in.vdi'), raw, [], ['-O', 'raw']),
    pair('raw → vmdk streamOptimized', files.files, `${files.out}.vmdk`, optimised, ['-O', 'vmdk', ...optimised]),
    pair('vmdk streamOptimized → raw', at('in-stream.vmdk'), raw, [], ['-O', 'raw']),
  ]
}

export function imageRows(): Row[] {
  const qcow2 = `${files.out}.qcow2`
  const raw = `${files.out}.raw`
  const plain = (command: Command): Command => ({
    ...command,
    argv: ['env', 'VDISK_NO_NATIVE_CODECS=1', ...command.argv],
  })
  const compressing = (type: string, goal: number, suffix = '', how = (command: Command): Command => command): Row => ({
    name: `→ qcow2 ${type}${suffix}`,
    goal,
    ours: how(vdisk('convert', files.files, qcow2, '--compress', type, '--no-flush')),
    peers: [
      qemu('convert', '-c', '-W', '-m', '16', '-O', 'qcow2', '-o', `compression_type=${type}`, files.files, qcow2),
    ],
    target: qcow2,
  })
  const reading = (type: string, goal: number, suffix = '', how = (command: Command): Command => command): Row => ({
    name: `qcow2 ${type} → raw${suffix}`,
    goal,
    ours: how(vdisk('convert', at(`in-${type}.qcow2`), raw, '--no-flush')),
    peers: [qemu('convert', '-W', '-m', '16', '-O', 'raw', at(`in-${type}.qcow2`), raw)],
    target: raw,
  })
  return [
    {
      name: 'info, against bare Node',
      goal: 2,
      ours: vdisk('info', files.small),
      peers: [{ name: 'node -e 0', argv: [process.execPath, '-e', '0'] }],
      peersAreNode: true,
    },
    {
      name: 'small disk → qcow2, not flushed',
      goal: 1.5,
      ours: vdisk('convert', files.small, qcow2, '--no-flush'),
      peers: [qemu('convert', '-W', '-m', '16', '-O', 'qcow2', files.small, qcow2)],
      target: qcow2,
    },
    ...conversions(),
    compressing('zlib', 0.2),
    compressing('zlib', 0.8, ', without libraries of the system', plain),
    compressing('zstd', 0.5),
    reading('zlib', 0.4),
    reading('zlib', 0.8, ', without libraries of the system', plain),
    reading('zstd', 0.8),
    ...otherFormats(),
    ...compressedFiles(),
    ...serving(),
    {
      name: 'vhdx → qcow2, not flushed',
      goal: 1,
      ours: vdisk('convert', at('in.vhdx'), qcow2, '--no-flush'),
      peers: [qemu('convert', '-W', '-m', '16', '-f', 'vhdx', '-O', 'qcow2', at('in.vhdx'), qcow2)],
      target: qcow2,
    },
    {
      name: 'qcow2 → vhdx, not flushed',
      goal: 1,
      ours: vdisk('convert', at('in.qcow2'), `${files.out}.vhdx`, '--no-flush'),
      peers: [qemu('convert', '-W', '-m', '16', '-f', 'qcow2', '-O', 'vhdx', at('in.qcow2'), `${files.out}.vhdx`)],
      target: `${files.out}.vhdx`,
    },
    {
      name: 'hash tree, against sha256sum',
      goal: 0.5,
      ours: vdisk('hash', files.random, '--algorithm', 'tree'),
      peers: [peer('sha256sum', files.random)],
    },
    { name: 'hash sha256', goal: 1, ours: vdisk('hash', files.random), peers: [peer('sha256sum', files.random)] },
    {
      name: 'compare raw with qcow2',
      goal: 1,
      ours: vdisk('compare', files.random, at('in.qcow2')),
      peers: [qemu('compare', files.random, at('in.qcow2'))],
    },
  ]
}

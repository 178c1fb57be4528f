import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { at, dataSize, files, have, isRoot, peer, program, qemu, shell, vdisk, type Row } from './row.js'

/** Pairs on XFS and btrfs in a file, where blocks are shared instead of copied. Start-up counts for nothing. */
export function reflinkRows({ shared }: Mounted): Row[] {
  return shared.flatMap(({ name, folder }) =>
    ['raw', 'qcow2', 'vhdx'].map((format) => {
      const [source, target] = [path.join(folder, 'source.raw'), path.join(folder, `out.${format}`)]
      const command = '"$0" "$1" info "$2" > /dev/null && exec cp --reflink=always "$2" "$3"'
      return {
        name: `raw → ${format} on ${name} by reflink, against cp --reflink and start-up`,
        goal: 1.2,
        ours: vdisk('convert', source, target, '--no-flush'),
        peers: [shell('vdisk info, and cp', command, process.execPath, program, source, target)],
        target,
        peersAreNode: true,
      }
    }),
  )
}

/** Onto a loop device over a file, past the page cache and flushed; as root only. */
export function deviceRows({ device, other }: Mounted): Row[] {
  const word = ['--no-verify', '--yes', '--confirm', String(2 * dataSize), '--allow-no-table']
  const qemuOut = ['convert', '-n', '-t', 'none', '-f', 'raw', '-O', 'raw', files.random, device]
  return [
    {
      name: 'restore onto a device, on the medium',
      goal: 0.9,
      ours: vdisk('restore', files.random, device, ...word),
      peers: [
        qemu(...qemuOut),
        peer('dd', `if=${files.random}`, `of=${device}`, 'bs=4M', 'oflag=direct', 'conv=fsync', 'status=none'),
      ],
    },
    {
      name: 'clone of a device, on the medium',
      goal: 0.9,
      ours: vdisk('clone', device, other, ...word),
      peers: [
        qemu('convert', '-n', '-W', '-m', '16', '-t', 'none', '-T', 'none', '-f', 'raw', '-O', 'raw', device, other),
        peer('dd', `if=${device}`, `of=${other}`, 'bs=4M', 'iflag=direct', 'oflag=direct', 'conv=fsync'),
      ],
    },
  ]
}

/** Loop devices, and folders of filesystems in files, for the rows that need them. */
export interface Mounted {
  readonly shared: readonly { readonly name: string; readonly folder: string }[]
  readonly device: string
  readonly other: string
  /** Full of data, and read past the page cache of the file below it. */
  readonly disk: string
  end(): void
}

const filesystems = [
  ['XFS', 'xfs', ['-q', '-f']],
  ['btrfs', 'btrfs', ['-q', '-f']],
] as const

/** As root only; undefined for others. */
export function mountInputs(): Mounted | undefined {
  if (!isRoot || !have('devices and reflinks', 'mkfs.xfs', 'mkfs.btrfs')) return undefined
  const tool = (file: string, ...args: string[]): string => execFileSync(file, args, { encoding: 'utf8' }).trim()
  const undo: (() => void)[] = []
  const loop = (name: string, size: number, ...flags: string[]): string => {
    fs.closeSync(fs.openSync(at(name), 'a'))
    fs.truncateSync(at(name), size)
    const device = tool('losetup', '-f', '--show', ...flags, at(name))
    undo.unshift(() => tool('losetup', '-d', device))
    return device
  }
  const shared = filesystems.map(([name, id, flags]) => {
    const device = loop(`${id}.img`, 4 * dataSize + 512 * 1048576)
    const folder = at(id)
    fs.mkdirSync(folder, { recursive: true })
    tool(`mkfs.${id}`, ...flags, device)
    tool('mount', device, folder)
    undo.unshift(() => tool('umount', folder))
    fs.copyFileSync(files.random, path.join(folder, 'source.raw'))
    return { name, folder }
  })
  const [device, other] = [loop('device.img', 2 * dataSize), loop('other.img', 2 * dataSize)]
  tool('dd', `if=${files.random}`, `of=${at('disk.img')}`, 'bs=1M', `count=${dataSize / 1048576}`)
  const disk = loop('disk.img', dataSize, '--direct-io=on')
  return {
    shared,
    device,
    other,
    disk,
    end() {
      for (const step of undo) step()
    },
  }
}

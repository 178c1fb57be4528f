import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { at, have, isRoot, isWanted, options, program, shell, vdisk, type Row } from './row.js'

/** Files in an image: a large folder, many small files, and the used blocks of filesystems of 1 TiB. */

const tebibyte = 1024 ** 4
const smallFiles = 5000

const tool = (file: string, ...args: string[]): void => void execFileSync(file, args, { stdio: 'ignore' })

/** A sparse file of 1 TiB with a filesystem in it, mounted while `fill` fills it. */
function filesystem(name: string, make: readonly [string, ...string[]], fill: (folder: string) => void): string {
  const [file, folder] = [at(name), at(`${name}.folder`)]
  fs.mkdirSync(folder, { recursive: true })
  fs.closeSync(fs.openSync(file, 'w'))
  fs.truncateSync(file, tebibyte)
  const [program, ...args] = make
  tool(program, ...args, file)
  tool('mount', '-o', 'loop', file, folder)
  try {
    fill(folder)
  } finally {
    tool('umount', folder)
  }
  return file
}

/** One folder of empty files, and a tree of small ones. */
function fillWithFiles(folder: string): void {
  fs.mkdirSync(path.join(folder, 'many'))
  for (let index = 0; index < Number(options.files); index++)
    fs.closeSync(fs.openSync(path.join(folder, 'many', `file-${index}`), 'w'))
  const content = Buffer.alloc(4096, 'small')
  for (let index = 0; index < smallFiles; index++) {
    const own = path.join(folder, 'small', String(index % 100))
    if (index < 100) fs.mkdirSync(own, { recursive: true })
    fs.writeFileSync(path.join(own, `file-${index}`), content.subarray(0, 1 + ((index * 37) % 4096)))
  }
}

/** A folder that nothing was removed from: ext4 takes long to find an inode where many were freed just now. */
const fresh = (parent: string): string => `"$(mktemp -d -p "${parent}")/copy"`

/** As root only. The peers mount the filesystem, use the kernel and unmount it. */
export function fileRows(): Row[] {
  if (
    !isRoot ||
    !['ls of a folder of files', 'cp -r of small files', 'used-only of 1 TiB ext4', 'used-only of 1 TiB ntfs'].some(
      isWanted,
    )
  )
    return []
  if (!have('files in images', 'mkfs.ext4', 'mkntfs', 'ntfs-3g', 'partclone.ext4', 'partclone.ntfs')) return []
  const inodes = String(Number(options.files) + 65536)
  const ext4 = filesystem('ext4.img', ['mkfs.ext4', '-q', '-F', '-N', inodes], fillWithFiles)
  const ntfs = filesystem(
    'ntfs.img',
    ['mkntfs', '-q', '-F', '-Q', '-s', '512', '-p', '0', '-H', '16', '-S', '63'],
    () => undefined,
  )
  const [folder, out] = [at('mounted'), at('out.folder')]
  for (const own of [folder, out]) fs.mkdirSync(own, { recursive: true })
  const byKernel = (command: string): ReturnType<typeof shell> =>
    shell(
      'mount and the kernel',
      `mount -o loop,ro,noload "$0" "$1"; trap 'umount "$1"' EXIT; ${command}`,
      ext4,
      folder,
      out,
    )
  const usedOnly = (name: string, file: string): Row => {
    const target = at('out.qcow2')
    return {
      name: `used-only of 1 TiB ${name}`,
      goal: 1,
      ours: vdisk('convert', file, target, '--used-only', '--no-flush'),
      peers: [shell(`partclone.${name}`, `partclone.${name} -q -c -F -s "$0" -o "$1"`, file, target)],
      target,
    }
  }
  return [
    {
      name: 'ls of a folder of files',
      goal: 1,
      ours: vdisk('ls', `${ext4}:/many`),
      peers: [byKernel('ls "$1/many"')],
    },
    {
      name: 'cp -r of small files',
      goal: 1,
      ours: shell('vdisk cp', `"$0" "$1" cp -r "$2" ${fresh('$3')}`, process.execPath, program, `${ext4}:/small`, out),
      peers: [byKernel(`cp -r "$1/small" ${fresh('$2')}`)],
    },
    usedOnly('ext4', ext4),
    usedOnly('ntfs', ntfs),
  ]
}

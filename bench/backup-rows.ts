import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { at, files, have, shell, vdisk, type Row } from './row.js'

/** Backups to a raw file, against what their own tools restore: partclone, Clonezilla's pipe, ntfsclone, ewfexport. */

const mebibyte = 1048576
const tools = ['partclone.ext4', 'mke2fs', 'sfdisk', 'zstd', 'mkfs.ntfs', 'ntfscp', 'ntfsclone', 'ewfacquire']

/** Makes the backups, and gives their rows; none where their tools are missing. */
export function backupRows(): Row[] {
  if (!have('backups', ...tools)) return []
  makeBackups(files.files)
  const raw = at('backup.out.raw')
  const row = (name: string, source: string, peer: string, command: string): Row => ({
    name: `${name} → raw, against its own tool`,
    goal: 1,
    ours: vdisk('convert', source, raw, '--no-flush'),
    peers: [shell(peer, command, source, raw, at('log'))],
    target: raw,
  })
  const restore = 'partclone.restore -q -L "$2" -s - -o "$1" --restore_raw_file'
  return [
    row('partclone', at('fs.pcl'), 'partclone.restore', `cat "$0" | ${restore}`),
    row('Clonezilla folder, zst', at('saved-zst'), 'zstd and partclone', `cat "$0"/sda1.* | zstd -dcq | ${restore}`),
    row('Clonezilla folder, gz', at('saved-gz'), 'gzip and partclone', `cat "$0"/sda1.* | gzip -dc | ${restore}`),
    row('ntfsclone', at('fs.ntfsclone'), 'ntfsclone', 'ntfsclone --restore-image --overwrite "$1" "$0" > "$2"'),
    row('E01', at('fs.E01'), 'ewfexport', 'ewfexport -u -q -f raw -t "${1%.raw}" "$0" > "$2"'),
  ]
}

/** @param content a file that is put into every filesystem. */
function makeBackups(content: string): void {
  const make = (command: string, ...args: string[]): void => {
    execFileSync('bash', ['-o', 'pipefail', '-c', command, ...args], { stdio: 'ignore' })
  }
  const size = Math.ceil(fs.statSync(content).size / mebibyte) + 64
  const [tree, image] = [at('tree'), at('fs.raw')]
  fs.rmSync(tree, { recursive: true, force: true })
  fs.mkdirSync(tree)
  fs.linkSync(content, path.join(tree, 'content'))
  make('rm -f "$0" && truncate -s "$1"M "$0" && mke2fs -q -F -t ext4 -d "$2" "$0"', image, String(size), tree)
  make('rm -f "$1" && partclone.ext4 -c -F -q -L "$2" -s "$0" -o "$1"', image, at('fs.pcl'), at('log'))
  for (const [kind, program] of [
    ['zst', 'zstd -q -c'],
    ['gz', 'gzip -1 -c'],
  ]) {
    const saved = at(`saved-${kind}`)
    fs.rmSync(saved, { recursive: true, force: true })
    fs.mkdirSync(saved)
    const end = (size + 1) * 2048
    make(
      'truncate -s "$1" "$0" && printf "label: dos\\nstart=2048,type=83\\n" | sfdisk -q "$0"',
      at('disk.raw'),
      String(end * 512),
    )
    const texts: Readonly<Record<string, string>> = {
      'clonezilla-img': 'This image was saved by Clonezilla at 2026-11-30 00:14:36 UTC.\n',
      disk: 'sda\n',
      parts: 'sda1\n',
      'dev-fs.list': '/dev/sda1 ext4 1G\n',
      'sda-pt.sf':
        'label: dos\nunit: sectors\nsector-size: 512\n\n' + `/dev/sda1 : start=2048, size=${end - 2048}, type=83\n`,
      'sda-pt.parted': `Disk /dev/sda: ${end}s\nSector size (logical/physical): 512B/512B\nPartition Table: msdos\n`,
    }
    for (const [name, text] of Object.entries(texts)) fs.writeFileSync(path.join(saved, name), text)
    fs.writeFileSync(path.join(saved, 'sda-mbr'), fs.readFileSync(at('disk.raw')).subarray(0, 512))
    make(
      `${program ?? ''} < "$0" | split -a 2 -b 100M - "$1"`,
      at('fs.pcl'),
      path.join(saved, `sda1.ext4-ptcl-img.${kind ?? ''}.`),
    )
  }
  make(
    'rm -f "$0" && truncate -s "$1"M "$0" && mkfs.ntfs -q -F -f "$0" && ntfscp "$0" "$2" content',
    image,
    String(size),
    content,
  )
  make('rm -f "$1" && ntfsclone --save-image --force -O "$1" "$0"', image, at('fs.ntfsclone'))
  make('rm -f "$1".E* && ewfacquire -u -q -c fast -S 4G -t "$1" "$0"', image, at('fs'))
}

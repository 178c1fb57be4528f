import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, renameSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { LinuxDisks } from '../../src/device/linux.js'
import { mountOf, parseMounts } from '../../src/device/mounts.js'
import { rootFolder, workFolder } from './fixtures.js'

/** The folder of the recording; see its README. */
export const recording = join(rootFolder, 'fixtures', 'recordings', 'linux-full-vm')

/**
 * The disks of a recorded Linux with SATA, NVMe, USB, SCSI, LVM, LUKS, RAID and swap. Device numbers come from the
 * recorded tree only.
 */
export function recordedLinux(): LinuxDisks {
  const folder = join(workFolder, 'recordings')
  for (const name of ['sysfs', 'udev']) {
    const target = join(folder, name)
    if (existsSync(target)) continue
    const own = `${target}.${process.pid}`
    mkdirSync(own, { recursive: true })
    const unpacked = spawnSync('tar', ['-xzf', join(recording, `${name}.tgz`), '-C', own])
    if (unpacked.status !== 0) throw new Error(unpacked.stderr.toString())
    if (existsSync(target)) continue
    renameSync(own, target)
  }
  const sys = join(folder, 'sysfs')
  const mountinfo = join(recording, 'mountinfo')
  const mounts = parseMounts(readFileSync(mountinfo, 'utf8'))
  const nodes: Readonly<Record<string, string>> = { '/dev/mapper/vg0-data': 'dm-0', '/dev/mapper/crypt': 'dm-1' }
  return new LinuxDisks({
    sys,
    mountinfo,
    swaps: join(recording, 'swaps'),
    udev: join(folder, 'udev'),
    lookup: {
      real: (path) => path,
      filesystemDevice: (path) => mountOf(path, mounts)?.deviceNumber,
      node(path) {
        if (!path.startsWith('/dev/')) return undefined
        const name = nodes[path] ?? path.slice('/dev/'.length)
        for (const disk of [name, name.replace(/p?\d+$/, '')]) {
          const file = disk === name ? join(sys, 'block', disk, 'dev') : join(sys, 'block', disk, name, 'dev')
          // The recorder padded attributes with zeros.
          if (existsSync(file)) return readFileSync(file, 'utf8').replaceAll('\0', '').trim()
        }
        return undefined
      },
    },
  })
}

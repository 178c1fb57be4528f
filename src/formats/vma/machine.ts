import type { Appliance, Machine } from '../driver.js'
import type { Device, VmaHeader } from './header.js'

const mebibyte = 1048576

/** What the configuration of the machine says of it (`qm.conf`), up to its first snapshot. */
export function applianceOf({ devices, configs }: VmaHeader): Appliance {
  const text = configs.get('qemu-server.conf') ?? ''
  const values = new Map<string, string>()
  for (const line of text.split('\n')) {
    if (line.startsWith('[')) break
    const [, key, value] = /^([\w-]+):\s*(.*)$/.exec(line) ?? []
    if (key !== undefined && value !== undefined && !values.has(key)) values.set(key, value.trim())
  }
  const disks = disksOf(devices)
  const count = (key: string): number | undefined => {
    const value = values.get(key)
    return value !== undefined && /^\d{1,9}$/.test(value) ? Number(value) : undefined
  }
  const memory = count('memory')
  const cores = count('cores')
  const machine: Machine = {
    name: values.get('name'),
    os: values.get('ostype'),
    cpus: cores === undefined ? undefined : cores * (count('sockets') ?? 1),
    memory: memory === undefined ? undefined : memory * mebibyte,
    firmware: text === '' ? undefined : values.get('bios') === 'ovmf' ? 'uefi' : 'bios',
    hardware: values.get('machine'),
    networks: [...values].filter(([key]) => /^net\d+$/.test(key)).map(([, value]) => value),
    disks: disks.map(({ name }) => diskId(name)),
  }
  return {
    machines: [machine],
    disks: disks.map(({ name, size }) => ({
      id: diskId(name),
      file: name,
      capacity: size,
      controller:
        values.get('scsihw') !== undefined && diskId(name).startsWith('scsi')
          ? `scsi ${values.get('scsihw') ?? ''}`
          : diskId(name).replace(/\d+$/, ''),
    })),
  }
}

/** Memory is no disk. */
export function disksOf(devices: readonly Device[]): Device[] {
  return devices.filter(({ name }) => name !== 'vmstate')
}

/** `drive-scsi0` is the disk `scsi0` of the configuration. */
export function diskId(name: string): string {
  return name.replace(/^drive-/, '')
}

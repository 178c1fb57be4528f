/** Starts the disks of guests in QEMU, and watches the serial port. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { emulator, type Firmware } from './boots.js'
import { guestMarker } from './tiny-kernel.js'

/** What says that a start has come to its end without the root. */
const stops = new RegExp(
  'ALERT!|\\(initramfs\\)|Could not boot|Kernel panic - not syncing|grub rescue>|you need to load the kernel|' +
    'Minimal BASH-like|emergency mode|Shell>|No bootable|Boot failed|Dropping to debug shell',
)
/** What GRUB reports where it stops, and where it goes on. */
const loaderErrors = /error: [^\n]*(not found|no such)/
/** BIOS has started what the first sector holds: where no loader is there, it runs through empty memory. */
const handedOver = /Booting from Hard Disk\.\.\.\s*$/
/** What is said of a machine that begins anew without a word. */
const restarted = 'the machine restarts'
/** Of the emulator's processor time, in ticks; GRUB shows itself after two seconds. */
const mostTicks = 1000
/** Far more than a start takes; one that shows nothing until then proves nothing. */
const mostSeconds = 1500

const sasDisk = 'scsi-hd,bus=scsi.0,drive=disk,wwn=0x5000c50015ea71ac'

/**
 * How a disk is attached in QEMU. What libvirt calls lsilogic is LSI's 53C895A; VMware's is a 53C1030. A disk of SAS
 * needs a name (WWN): without one Linux takes the port of an LSISAS1068 for empty.
 */
export const controllers: Readonly<Record<string, readonly string[]>> = {
  virtio: ['-device', 'virtio-blk-pci,drive=disk,bootindex=0'],
  sata: ['-device', 'ich9-ahci,id=sata', '-device', 'ide-hd,bus=sata.0,drive=disk,bootindex=0'],
  nvme: ['-device', 'nvme,serial=1,drive=disk,bootindex=0'],
  lsisas1068: ['-device', 'mptsas1068,id=scsi', '-device', `${sasDisk},bootindex=0`],
  megasas: ['-device', 'megasas,id=scsi', '-device', 'scsi-hd,bus=scsi.0,drive=disk,bootindex=0'],
  lsilogic: ['-device', 'lsi53c895a,id=scsi', '-device', 'scsi-hd,bus=scsi.0,drive=disk,bootindex=0'],
  pvscsi: ['-device', 'pvscsi,id=scsi', '-device', 'scsi-hd,bus=scsi.0,drive=disk,bootindex=0'],
}

/**
 * Starts a disk. @param goesOn errors of GRUB do not end the start: it tries further.
 * @returns whether its root was reached, and what the serial port showed at last.
 */
export async function reachesRoot(
  at: (name: string) => string,
  disk: string,
  firmware: Firmware,
  controller: string,
  goesOn = false,
): Promise<{ readonly reached: boolean; readonly shown: string }> {
  const serial = at('serial.txt')
  fs.rmSync(serial, { force: true })
  // Without graphics SeaBIOS, too, reports on the serial port.
  const machineFlags = ['-machine', 'pc,graphics=off', '-m', '640', '-display', 'none', '-monitor', 'none']
  const flags = [...machineFlags, '-net', 'none', '-no-reboot']
  if (firmware.code !== undefined && firmware.variables !== undefined) {
    fs.copyFileSync(firmware.variables, at('variables.fd'))
    flags.push('-drive', `if=pflash,format=raw,readonly=on,file=${firmware.code}`)
    flags.push('-drive', `if=pflash,format=raw,file=${at('variables.fd')}`)
  }
  flags.push('-drive', `file=${disk},format=raw,if=none,id=disk,snapshot=on`, ...(controllers[controller] ?? []))
  // A session of its own has a share of the processor of its own, where the kernel groups them.
  const machine = spawn(emulator, [...flags, '-serial', `file:${serial}`], {
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const ended = new Promise<void>((resolve) => machine.once('close', () => resolve()))
  let said = ''
  machine.stderr.on('data', (bytes: Buffer) => (said += bytes.toString()))
  const shown = (): string => (fs.existsSync(serial) ? fs.readFileSync(serial, 'latin1') : '')
  const begun = { ticks: 0 }
  const hasStopped = (text: string): boolean => {
    const silent = handedOver.test(text)
    if (!silent) begun.ticks = processorTicks(machine.pid)
    const isEndless = silent && processorTicks(machine.pid) - begun.ticks > mostTicks
    return isEndless || stops.test(text) || (!goesOn && loaderErrors.test(text))
  }
  try {
    for (let second = 0; second < mostSeconds; second++) {
      const hasEnded = machine.exitCode !== null || machine.signalCode !== null
      const text = shown()
      if (text.includes(guestMarker)) return { reached: true, shown: text.slice(-1500) }
      if (hasStopped(text)) return { reached: false, shown: text.slice(-1500) }
      // Instead of a restart the emulator ends.
      if (machine.exitCode === 0 && said === '') return { reached: false, shown: `${text.slice(-1500)}\n${restarted}` }
      assert.ok(!hasEnded, `${emulator} ended, and nothing says why: ${said}${text.slice(-3000)}`)
      await sleep(1000)
    }
    assert.fail(`neither its root nor a reason in ${mostSeconds} s: ${said}${shown().slice(-3000)}`)
  } finally {
    machine.kill('SIGKILL')
    await ended
  }
}

/** Of a process that runs: proc(5), utime and stime. */
function processorTicks(pid = 0): number {
  const path = `/proc/${pid}/stat`
  const fields = fs.existsSync(path)
    ? fs
        .readFileSync(path, 'latin1')
        .replace(/^.*\) /s, '')
        .split(' ')
    : []
  return Number(fields[11] ?? 0) + Number(fields[12] ?? 0)
}

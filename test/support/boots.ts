/** Starts disks in QEMU, by BIOS and by UEFI. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { copyFileSync, existsSync, readFileSync } from 'node:fs'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { biosMarker, uefiMarker } from '../../fixtures/boot-code.js'
import { skipReason } from './complete.js'

export const emulator = 'qemu-system-x86_64'
/** Without hardware virtualisation UEFI takes about five seconds on an idle core; a busy one is no failure. */
const patience = 900_000

export interface Firmware {
  readonly name: string
  readonly marker: string
  readonly code?: string
  readonly variables?: string
}

export const bios: Firmware = { name: 'BIOS', marker: biosMarker }
/** Where distributions put OVMF. */
const uefiFiles = [
  ['/usr/share/OVMF/OVMF_CODE_4M.fd', '/usr/share/OVMF/OVMF_VARS_4M.fd'],
  ['/usr/share/OVMF/OVMF_CODE.fd', '/usr/share/OVMF/OVMF_VARS.fd'],
  ['/usr/share/edk2/ovmf/OVMF_CODE.fd', '/usr/share/edk2/ovmf/OVMF_VARS.fd'],
] as const

export function haveUefi(t: TestContext): Firmware | undefined {
  const found = uefiFiles.find(([code, variables]) => existsSync(code) && existsSync(variables))
  if (found !== undefined) return { name: 'UEFI', marker: uefiMarker, code: found[0], variables: found[1] }
  t.skip(skipReason('OVMF is not installed'))
  return undefined
}

/** Starts the disk, an image or a device, and waits for the marker on the serial port. */
export async function boots(
  firmware: Firmware,
  image: string,
  format: string,
  at: (name: string) => string,
): Promise<void> {
  const serial = at(`serial-${firmware.name}.txt`)
  const flags = [
    '-display',
    'none',
    '-monitor',
    'none',
    '-net',
    'none',
    '-m',
    '256',
    '-no-reboot',
    '-serial',
    `file:${serial}`,
  ]
  if (firmware.code !== undefined && firmware.variables !== undefined) {
    copyFileSync(firmware.variables, at('variables.fd'))
    flags.push(
      '-drive',
      `if=pflash,format=raw,readonly=on,file=${firmware.code}`,
      '-drive',
      `if=pflash,format=raw,file=${at('variables.fd')}`,
    )
  }
  flags.push('-drive', `file=${image},format=${format},snapshot=on`)
  const machine = spawn(emulator, flags, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, TMPDIR: at('.') },
  })
  let said = ''
  machine.stderr.on('data', (bytes: Buffer) => {
    said += bytes.toString()
  })
  const ended = new Promise<void>((resolve) => {
    machine.once('close', () => resolve())
  })
  const shown = (): string => (existsSync(serial) ? readFileSync(serial, 'latin1') : '')
  try {
    const limit = Date.now() + patience
    while (!shown().includes(firmware.marker)) {
      assert.equal(machine.exitCode, null, `${emulator} ended before the disk had started: ${said}`)
      assert.ok(
        Date.now() < limit,
        `no marker on the serial port after ${patience / 1000} s; it showed: ${shown().slice(-500)}`,
      )
      await sleep(100)
    }
  } finally {
    machine.kill('SIGKILL')
    await ended
  }
}

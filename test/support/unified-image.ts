/** Unified kernel images, put together by objcopy behind the stub of systemd. */
import fs from 'node:fs'
import type { TestContext } from 'node:test'
import { skipReason } from './complete.js'
import { have, run } from './tools.js'

const stub = '/usr/lib/systemd/boot/efi/linuxx64.efi.stub'
export const systemdBoot = '/usr/lib/systemd/boot/efi/systemd-bootx64.efi'
const alignment = 0x10000

/** Whether images can be made here. */
export function haveStub(t: TestContext): boolean {
  if (fs.existsSync(stub)) return have(t, 'objcopy')
  t.skip(skipReason("systemd's stub is not installed"))
  return false
}

export interface UnifiedParts {
  readonly kernel: Buffer
  readonly initramfs?: Buffer
  readonly parameters?: string
  readonly version?: string
  /** Lines of os-release. */
  readonly release?: string
  /** Further sections, behind those. */
  readonly more?: readonly (readonly [name: string, content: string | Buffer])[]
}

/** @returns the path of the image. */
export function unifiedImage(at: (name: string) => string, parts: UnifiedParts): string {
  const {
    kernel,
    initramfs,
    parameters,
    version,
    release = 'ID=debian\nPRETTY_NAME="Debian"\nVERSION_ID="13"\n',
  } = parts
  const known = { osrel: release, uname: version, cmdline: parameters, initrd: initramfs, linux: kernel }
  // objcopy takes no name twice.
  const more = parts.more ?? []
  const sections = [...Object.entries(known), ...more.map(([, content], index) => [`more${index}`, content] as const)]
  const flags: string[] = []
  // In memory they follow what the stub has.
  let place = rounded(stubEnd())
  for (const [index, [name, content]] of sections.entries()) {
    if (content === undefined) continue
    const file = at(`section-${index}`)
    fs.writeFileSync(file, content)
    const address = `.${name}=0x${place.toString(16)}`
    flags.push('--add-section', `.${name}=${file}`, '--change-section-vma', address)
    flags.push('--set-section-flags', `.${name}=data,readonly`)
    place = rounded(place + content.length)
  }
  run('objcopy', ...flags, stub, at('unified.efi'))
  for (const [index, [name]] of more.entries()) rename(at('unified.efi'), `.more${index}`, `.${name}`)
  return at('unified.efi')
}

function rename(image: string, old: string, name: string): void {
  const bytes = fs.readFileSync(image)
  bytes.write(name.padEnd(8, '\0'), bytes.indexOf(old.padEnd(8, '\0')), 'latin1')
  fs.writeFileSync(image, bytes)
}

function stubEnd(): number {
  const rows = run('objdump', '-h', stub).matchAll(/^ +\d+ \S+ +([0-9a-f]+) +([0-9a-f]+) /gm)
  return Math.max(...[...rows].map(([, size = '', address = '']) => parseInt(size, 16) + parseInt(address, 16)))
}

function rounded(place: number): number {
  return Math.ceil(place / alignment) * alignment
}

import { viewOf } from '../../binary/integers.js'
import type { Platform } from '../../platforms/index.js'
import type { VolumeFiles } from '../files/volume-files.js'
import type { InspectResult } from '../inspect/inspect.js'
import type { GuestVolume } from './guest.js'
import type { DoctorReport } from './report.js'

/** Microsoft's PE format: where the optional header begins behind the signature, and its magic numbers. */
const optionalHeader = 24
const magics: Readonly<Record<number, { readonly directories: number }>> = {
  0x10b: { directories: 96 },
  0x20b: { directories: 112 },
}
/** Of the attribute certificates among the data directories; each has a place and a length. */
const certificates = 4
const longestHead = 4096
/** Longer signatures are not searched to their end. */
const longestSignature = 262144

/** Machines that start with Secure Boot: whether the loader that firmware finds on its own is signed by Microsoft. */
export function checkSecureBoot(
  { boot }: InspectResult,
  volumes: readonly GuestVolume[],
  platform: Platform | undefined,
  report: DoctorReport,
): void {
  if (platform?.secureBoot !== true) return
  const loaders = boot.loaders.filter(({ fallback, fault }) => fallback && fault === undefined)
  for (const { path, partition } of loaders) {
    const open = volumes.find(({ volume, logical }) => logical === undefined && volume.partition?.number === partition)
    const signed = open === undefined ? undefined : signer(open.files, path)
    if (signed === undefined || signed === 'Microsoft') continue
    report.add({
      id: 'F-SECURE-BOOT',
      severity: 'risk',
      where: path,
      found: signed === 'nobody' ? 'it is not signed' : 'it is signed, and not by Microsoft',
      wanted: 'a loader that Microsoft signed: of Linux that is shim',
      why: `machines of ${platform.id} start with Secure Boot, which refuses it`,
      remedy: {
        kind: 'inside-guest',
        text: 'Install the signed loader (shim-signed), or switch it off: Set-VMFirmware NAME -EnableSecureBoot Off.',
      },
    })
  }
}

/** Who signed a program for UEFI, as far as its certificates say so in their text; undefined: it is not known. */
function signer(files: VolumeFiles, path: string): 'Microsoft' | 'others' | 'nobody' | undefined {
  const head = files.head(path, longestHead)
  if (head === undefined || head.length < 64) return undefined
  const view = viewOf(head)
  const start = view.getUint32(60, true) + optionalHeader
  if (start + 256 > head.length) return undefined
  const directories = magics[view.getUint16(start, true)]?.directories
  if (directories === undefined) return undefined
  const count = view.getUint32(start + directories - 4, true)
  const at = start + directories + certificates * 8
  const length = count > certificates ? view.getUint32(at + 4, true) : 0
  if (length === 0) return 'nobody'
  const node = files.file(path)
  const signature = new Uint8Array(Math.min(length, longestSignature))
  const place = view.getUint32(at, true)
  if (node === undefined || place + signature.length > node.size || !files.fill(node, place, signature))
    return undefined
  return Buffer.from(signature).includes('Microsoft') ? 'Microsoft' : 'others'
}

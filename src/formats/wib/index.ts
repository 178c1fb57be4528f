import type { FormatDriver } from '../driver.js'
import { isVirtualDisk, WindowsBackup } from './reader.js'

/** The backups of Windows itself ("system image", wbadmin): a folder with a VHD or VHDX for each volume. */
export const wib: FormatDriver = {
  apiVersion: 1,
  id: 'wib',
  title: 'Windows Image Backup',
  extensions: [],
  subformats: [],
  features: { parents: 'none', snapshots: false, compression: [], sectorSizes: [512, 4096] },
  options: [],
  severalDisks: true,
  probe: (head) => (isSpecs(head) ? 'certain' : 'no'),
  folderFile: (names) =>
    [...names].some(isVirtualDisk) ? [...names].sort().find((name) => /BackupSpecs\.xml$/i.test(name)) : undefined,
  open: (store, context) => new WindowsBackup(store, context),
}

/** XML in UTF-16 or UTF-8 whose root is that of a specification of what is saved. */
function isSpecs(head: Uint8Array): boolean {
  const text = Buffer.from(head.subarray(0, 1024)).toString('latin1').replaceAll('\0', '')
  return /^(?:\xff\xfe|\xef\xbb\xbf)?\s*<(?:\?xml[^>]*>\s*<)?BackupSpecs?\b/.test(text)
}

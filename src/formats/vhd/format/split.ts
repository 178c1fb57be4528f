import { unsupported } from '../../../errors.js'

/** Virtual PC could split an image into `name.vhd`, `name.v01`, `name.v02` …: only the parts together are a disk. */
const laterPart = /\.v\d\d$/i

/**
 * @throws ImageError unsupported E_SPLIT_VHD when a file that is not whole is a part of a split image, by its name or
 * its neighbours'.
 */
export function refuseSplit(name: string, siblings: readonly string[]): void {
  const own = name.replace(/^.*[/\\]/, '')
  const second = `${own.replace(/\.[^.]*$/, '')}.v01`.toLowerCase()
  if (!laterPart.test(own) && !siblings.some((sibling) => sibling.toLowerCase() === second)) return
  throw unsupported(
    'E_SPLIT_VHD',
    `${name} is a part of a split VHD (.vhd or .v00, .v01, .v02 …), which vdisk cannot read`,
    { hint: 'Join the parts in order into one file, and read that.' },
  )
}

import { unsupported } from '../../../errors.js'
import type { Location } from '../../../location/location.js'

/** Virtual PC could split an image into `name.vhd`, `name.v01`, `name.v02` …: only the parts together are a disk. */
const laterPart = /\.v\d\d$/i

/**
 * @throws ImageError unsupported E_SPLIT_VHD when a file that is not whole is a part of a split image, by its name or
 * its neighbours'.
 */
export function refuseSplit(self: Location): void {
  const isPart = [self, self.behind].some((place) => place !== undefined && isSplit(place))
  if (!isPart) return
  throw unsupported(
    'E_SPLIT_VHD',
    `${self.label} is a part of a split VHD (.vhd or .v00, .v01, .v02 …), which vdisk cannot read`,
    { hint: 'Join the parts in order into one file, and read that.' },
  )
}

function isSplit(place: Location): boolean {
  const { name } = place
  if (name === undefined) return false
  if (laterPart.test(name)) return true
  const second = `${name.replace(/\.[^.]*$/, '')}.v01`.toLowerCase()
  return place.siblings().some((sibling) => sibling.toLowerCase() === second)
}

/** How Windows says which partition it means: by what the partition table has. */
export type DiskPlace =
  | {
      readonly scheme: 'gpt'
      /** The partition's own GUID, lower case. */
      readonly partition: string
      /** The disk's GUID; undefined where it is not stored. */
      readonly disk?: string
    }
  | {
      readonly scheme: 'mbr'
      /** The signature of the disk: eight hexadecimal digits. */
      readonly disk: string
      /** Bytes from the start of the disk. */
      readonly start: number
    }

/** Whether both mean the same partition; a disk that is not stored is not compared. */
export function isSamePlace(one: DiskPlace, other: DiskPlace): boolean {
  if (one.scheme === 'mbr') return other.scheme === 'mbr' && one.disk === other.disk && one.start === other.start
  return (
    other.scheme === 'gpt' &&
    one.partition === other.partition &&
    (one.disk === undefined || other.disk === undefined || one.disk === other.disk)
  )
}

/** For people. */
export function diskPlaceText(place: DiskPlace): string {
  return place.scheme === 'mbr'
    ? `byte ${place.start} of the disk with the signature ${place.disk}`
    : `partition {${place.partition}}${place.disk === undefined ? '' : ` of disk {${place.disk}}`}`
}

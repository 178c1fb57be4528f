import type { Note } from '../../../block/types.js'
import { hasBit } from '../../../binary/flags.js'
import type { Header } from '../format/header.js'
import { autoclear } from '../format/structs.js'

/**
 * What the user should know, by the header alone. @param capacity of the disk that is read, active or snapshot.
 */
export function openingNotes(name: string, header: Header, capacity: number): Note[] {
  const notes: Note[] = []
  if (header.corrupt)
    notes.push({
      code: 'W_CORRUPT',
      message:
        `${name}: the image is marked corrupt by the program that last wrote it; what its tables say is ` +
        'read as it is',
    })
  if (header.dirty)
    notes.push({
      code: 'W_DIRTY',
      message:
        `${name}: the image was not closed cleanly; its refcounts may be stale, which does not matter ` + 'for reading',
    })
  if (header.refcountTable.entries === 0)
    notes.push({
      code: 'W_REFCOUNT_TABLE',
      message: `${name}: the image has no refcount table; it can be read, but no program should write to it`,
    })
  if (hasBit(header.autoclearFeatures, autoclear.bitmaps) && header.extensions.bitmaps === undefined) {
    notes.push({
      code: 'W_BITMAPS',
      message: `${name}: the header says that bitmaps are consistent, but there are none`,
    })
  }
  if (header.rawDataFile && !header.dataFile)
    notes.push({
      code: 'W_RAW_DATA_FILE',
      message: `${name}: the header says that the external data file is raw, but there is no external data file`,
    })
  if (capacity % 512 !== 0)
    notes.push({
      code: 'W_SIZE_NOT_SECTORS',
      message:
        `${name}: the disk has ${capacity} bytes, which is no multiple of 512; all of them are read, ` +
        `other programs drop the last ${capacity % 512}`,
    })
  return notes
}

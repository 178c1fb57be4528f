import { PatchedStore } from '../../../block/patched-store.js'
import type { ByteStore } from '../../../block/types.js'
import { randomUuid } from '../../../sys/random-uuid.js'
import type { CurrentHeader } from './header.js'
import { HeaderWriter } from './header-writer.js'
import type { Replay } from './log.js'
import { mebibyte, nilUuid } from './structs.js'

/**
 * Brings what the log holds into the file, then empties the log (MS-VHDX 2.3.3). A crash before the headers are changed
 * leaves the log
 * to be replayed again. However often the log changes a place, it is written once.
 */
export function replayIntoFile(file: ByteStore, header: CurrentHeader, replay: Replay): void {
  const view = new PatchedStore(file, replay.patches, replay.size)
  const before = file.size
  // The new space reads as zero: ranges that the log makes zero need not be written there.
  if (replay.size > before) file.truncate(replay.size)
  const piece = new Uint8Array(mebibyte)
  for (let position = 0; position < replay.size;) {
    const { origin, length } = view.runAt(position, replay.size)
    const end = origin === 'zero' ? Math.min(position + length, before) : position + length
    if (origin !== 'base') {
      for (let at = position; at < end; at += piece.length) {
        const bytes = piece.subarray(0, Math.min(piece.length, end - at))
        view.read(at, bytes)
        file.write(at, bytes)
      }
    }
    position += length
  }
  file.flush()
  new HeaderWriter(file, header).update({ fileWriteGuid: randomUuid(), logGuid: nilUuid })
}

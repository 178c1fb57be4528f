import { viewOf } from '../../binary/integers.js'
import { codePage437 } from '../names.js'
import { fatCaseFlags, longNameOrder, shortNameChecksum } from './entries.js'

/**
 * The name of a short entry: eight and three characters, padded with spaces, in the code page of the system that wrote
 * it.
 */
export function shortName(stored: Uint8Array, caseFlags: number): string {
  const bytes = Uint8Array.from(stored)
  // 0xE5 marks deleted entries; a name that begins with it is stored with 0x05.
  if (bytes[0] === 0x05) bytes[0] = 0xe5
  const { lowerBase, lowerExtension } = fatCaseFlags(caseFlags)
  const part = (from: number, to: number, lower: boolean): string => {
    const text = codePage437(bytes.subarray(from, to)).replace(/ +$/, '')
    return lower ? text.toLowerCase() : text
  }
  const extension = part(8, 11, lowerExtension)
  return `${part(0, 8, lowerBase)}${extension === '' ? '' : `.${extension}`}`
}

/** Where the 13 UTF-16 units of a piece of a long name lie. */
const unitOffsets = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30]

/** Puts the pieces of a long name together, which precede its short entry, the last piece first. */
export class LongName {
  #text = ''
  #expected = 0
  #checksum = 0

  /** Takes the next piece. One that does not fit what came before begins anew or is dropped, as all systems do. */
  add(entry: Uint8Array): void {
    const view = viewOf(entry)
    const { place, isLast } = longNameOrder(view.getUint8(0))
    const checksum = view.getUint8(13)
    if (isLast && place >= 1 && place <= 20) {
      this.#text = ''
      this.#checksum = checksum
    } else if (this.#expected === 0 || place !== this.#expected || checksum !== this.#checksum) {
      this.reset()
      return
    }
    let piece = ''
    for (const offset of unitOffsets) {
      const unit = view.getUint16(offset, true)
      if (unit === 0) break
      piece += String.fromCharCode(unit)
    }
    this.#text = piece + this.#text
    // Place 1 comes last; then the short entry is expected.
    this.#expected = place - 1
    if (this.#expected === 0) this.#expected = -1
  }

  /** The long name, if all its pieces came and belong to this short name. Begins anew. */
  take(shortEntryName: Uint8Array): string | undefined {
    const complete = this.#expected === -1 && this.#checksum === shortNameChecksum(shortEntryName) && this.#text !== ''
    const text = this.#text
    this.reset()
    return complete ? text : undefined
  }

  reset(): void {
    this.#text = ''
    this.#expected = 0
  }
}

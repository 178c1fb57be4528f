/**
 * Cuts a range at the bounds of units (blocks, grains, pages), and visits each piece.
 * @param visit gets the unit, where the piece begins in it, where it begins in the range, and its length. Bytes.
 */
export function eachPiece(
  offset: number,
  length: number,
  unitLength: number,
  visit: (unit: number, within: number, done: number, length: number) => void,
): void {
  for (let done = 0; done < length;) {
    const unit = Math.floor((offset + done) / unitLength)
    const within = offset + done - unit * unitLength
    const piece = Math.min(length - done, unitLength - within)
    visit(unit, within, done, piece)
    done += piece
  }
}

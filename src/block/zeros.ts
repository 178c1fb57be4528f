/** Bytes that are written at once. */
const pieceLength = 1048576

/** Writes zeros over a range, `piece` bytes at a time at most. */
export function writeZeros(
  target: { write(position: number, bytes: Uint8Array): void },
  position: number,
  length: number,
  piece = pieceLength,
): void {
  const zeros = new Uint8Array(Math.min(length, piece))
  for (let done = 0; done < length; done += zeros.length)
    target.write(position + done, zeros.subarray(0, Math.min(zeros.length, length - done)))
}

type Numbers = Float64Array | Uint32Array | Uint16Array | Uint8Array

/** Puts numbers into another array, as many as it has room for; gives that array. */
export function moveNumbers<Place extends Numbers>(from: Place, to: Place): Place {
  to.set(from.length > to.length ? from.subarray(0, to.length) : from)
  return to
}

import { firstError, isImageError, withFurtherHint } from '../../errors.js'

/** Errors that come in the middle of a change; the others come before anything was written. */
const inTheMiddle = ['E_READ', 'E_SOURCE_CHANGED', 'E_TRUNCATED', 'E_COMPRESSED']

/**
 * The first cause of a failed change in place, with a sentence about the state in which it left the image. To be called
 * when the image is closed.
 * @param state what can be said; what it throws itself is left out.
 */
export function withState(thrown: unknown, state: () => string | undefined): unknown {
  const error = firstError(thrown)
  if (!isImageError(error) || (error.kind !== 'target' && !inTheMiddle.includes(error.code))) return error
  let text: string | undefined
  try {
    text = state()
  } catch {
    text = 'What state the image is in cannot be found out: vdisk check says more.'
  }
  return text === undefined ? error : withFurtherHint(error, text, thrown)
}

/** Runs a change in place; the image is closed when it ends. @throws what it throws, as {@link withState} says it. */
export async function changingInPlace<Result>(
  state: () => string | undefined,
  change: () => Promise<Result>,
): Promise<Result> {
  try {
    return await change()
  } catch (error) {
    throw withState(error, state)
  }
}

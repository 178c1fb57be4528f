/** The content is not what it was taken for when reading began: it has to be read in another way. */
export class ForwardMiss extends Error {
  /** @param file the name of the store. @param size bytes of its content, where that is what was wrong. */
  constructor(
    message: string,
    readonly file: string,
    readonly size?: number,
  ) {
    super(message)
  }
}

/** Values by number, made when they are needed; the one unused longest is dropped when they are too many. */
export class Recent<Value> {
  readonly #most: number
  readonly #make: (key: number) => Value
  readonly #values = new Map<number, Value>()
  /** The one that was asked for last: a walk asks for it again and again. */
  #last: { readonly key: number; readonly value: Value } | undefined

  /** @param most how many are kept. @param make makes one; nothing is kept when it throws. */
  constructor(most: number, make: (key: number) => Value) {
    this.#most = most
    this.#make = make
  }

  get(key: number): Value {
    const last = this.#last
    if (last !== undefined && last.key === key) return last.value
    const value = this.#values.has(key) ? (this.#values.get(key) as Value) : this.#make(key)
    this.set(key, value)
    return value
  }

  /** Keeps a value that was made elsewhere. */
  set(key: number, value: Value): void {
    // Kept in the order of use: the first is the one unused longest.
    this.#values.delete(key)
    this.#values.set(key, value)
    this.#last = { key, value }
    if (this.#values.size <= this.#most) return
    for (const oldest of this.#values.keys()) {
      this.#values.delete(oldest)
      return
    }
  }

  /** Makes the value anew when it is needed again. */
  forget(key: number): void {
    this.#values.delete(key)
    if (this.#last?.key === key) this.#last = undefined
  }

  clear(): void {
    this.#values.clear()
    this.#last = undefined
  }
}

import { isJsonObject } from '../binary/json-object.js'
/**
 * Members of what a tool of the system printed, each as the type it should be; undefined where it is absent or
 * something else.
 */
export class ToolOutput {
  readonly #members: Readonly<Record<string, unknown>>

  /** Anything that is no object has no members. */
  constructor(value: unknown) {
    this.#members = isJsonObject(value) ? value : {}
  }

  /** Trimmed; undefined when there is nothing. */
  text(name: string): string | undefined {
    const value = this.#value(name)
    const text = typeof value === 'string' ? value.replaceAll('\0', '').trim() : ''
    return text === '' ? undefined : text
  }

  /** A whole number from 0 to 2^53 − 1; 0 when there is none. */
  number(name: string): number {
    const value = this.#value(name)
    return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : 0
  }

  /** Undefined when it is not there. */
  flag(name: string): boolean | undefined {
    const value = this.#value(name)
    return typeof value === 'boolean' ? value : undefined
  }

  /** What should be a list; PowerShell gives a list of one as the thing itself. */
  list(name: string): readonly ToolOutput[] {
    return this.#items(name).map((each) => new ToolOutput(each))
  }

  texts(name: string): readonly string[] {
    return this.#items(name).filter((each) => typeof each === 'string')
  }

  #items(name: string): readonly unknown[] {
    const value = this.#value(name)
    if (value === undefined || value === null) return []
    return Array.isArray(value) ? (value as readonly unknown[]) : [value]
  }

  #value(name: string): unknown {
    return Object.hasOwn(this.#members, name) ? this.#members[name] : undefined
  }
}

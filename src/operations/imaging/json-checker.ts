import { isJsonObject } from '../../binary/json-object.js'
/** Longer texts are no names, serial numbers or sentences. */
const longestText = 4096

/** Takes members out of JSON that somebody else wrote; each is checked. The errors name the member. */
export class JsonChecker {
  readonly #members: Readonly<Record<string, unknown>>

  private constructor(
    members: Readonly<Record<string, unknown>>,
    readonly name: string,
  ) {
    this.#members = members
  }

  /** @throws Error when the text is no JSON object. */
  static parse(text: string): JsonChecker {
    return new JsonChecker(members(JSON.parse(text), 'it'), '')
  }

  object(member: string): JsonChecker {
    const found = this.optionalObject(member)
    if (found === undefined) throw new Error(`${this.#path(member)} is missing`)
    return found
  }

  optionalObject(member: string): JsonChecker | undefined {
    const value = this.#value(member)
    return value === undefined ? undefined : new JsonChecker(members(value, this.#path(member)), this.#path(member))
  }

  objects(member: string, limit: number): JsonChecker[] {
    return this.#list(member, limit).map(
      (each, index) =>
        new JsonChecker(members(each, `${this.#path(member)}[${index}]`), `${this.#path(member)}[${index}]`),
    )
  }

  /** Undefined when there is no such list. */
  optionalObjects(member: string, limit: number): JsonChecker[] | undefined {
    return this.#value(member) === undefined ? undefined : this.objects(member, limit)
  }

  /** Whole numbers from 0 to 2^53 − 1; undefined when there is no such list. */
  integers(member: string, limit: number): number[] | undefined {
    if (this.#value(member) === undefined) return undefined
    return this.#list(member, limit).map((each) => integer(each, this.#path(member)))
  }

  integer(member: string): number {
    return integer(this.#value(member), this.#path(member))
  }

  optionalInteger(member: string): number | undefined {
    return this.#value(member) === undefined ? undefined : this.integer(member)
  }

  boolean(member: string): boolean {
    const value = this.#value(member)
    if (typeof value !== 'boolean') throw new Error(`${this.#path(member)} is not true or false`)
    return value
  }

  text(member: string): string {
    const value = this.#value(member)
    if (typeof value !== 'string' || value.length > longestText)
      throw new Error(`${this.#path(member)} is no text of at most ${longestText} characters`)
    return value
  }

  /** Those of the members that are there. */
  optionalTexts<Name extends string>(names: readonly Name[]): { [Key in Name]?: string } {
    return Object.fromEntries(
      names.filter((name) => this.#value(name) !== undefined).map((name) => [name, this.text(name)]),
    ) as { [Key in Name]?: string }
  }

  optionalChoice<Choice extends string>(member: string, choices: readonly Choice[]): Choice | undefined {
    return this.#value(member) === undefined ? undefined : this.choice(member, choices)
  }

  choice<Choice extends string>(member: string, choices: readonly Choice[]): Choice {
    const value = this.#value(member)
    const found = choices.find((each) => each === value)
    if (found === undefined) throw new Error(`${this.#path(member)} is none of ${choices.join(', ')}`)
    return found
  }

  #list(member: string, limit: number): readonly unknown[] {
    const value = this.#value(member)
    if (!Array.isArray(value) || value.length > limit)
      throw new Error(`${this.#path(member)} is no list of at most ${limit}`)
    return value as readonly unknown[]
  }

  #value(member: string): unknown {
    return Object.hasOwn(this.#members, member) ? this.#members[member] : undefined
  }

  #path(member: string): string {
    return this.name === '' ? member : `${this.name}.${member}`
  }
}

function members(value: unknown, name: string): Readonly<Record<string, unknown>> {
  if (!isJsonObject(value)) throw new Error(`${name} is no object`)
  return value
}

function integer(value: unknown, name: string): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0)
    throw new Error(`${name} is no whole number from 0 to 2^53 - 1`)
  return value
}

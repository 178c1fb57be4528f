/** The names of the members that may be undefined. */
type Optional<Members> = { [Name in keyof Members]: undefined extends Members[Name] ? Name : never }[keyof Members]

/** `Members` with those that may be undefined made optional instead. */
export type Defined<Members> = { [Name in Exclude<keyof Members, Optional<Members>>]: Members[Name] } & {
  [Name in Optional<Members>]?: Exclude<Members[Name], undefined>
}

/** The members that are not undefined: an optional option is left out, never handed on as undefined. */
export function defined<Members extends object>(members: Members): Defined<Members> {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as Defined<Members>
}

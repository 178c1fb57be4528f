/** An image of a chain and the record of a parent, as operations give them (this layer may not import them). */
interface Linked {
  readonly path: string
  readonly format: string
  readonly identity?: string
}
interface Recorded {
  readonly names: readonly string[]
  readonly identity?: string
}

/** Who is whose parent, and what is recorded of it. */
export function linkFacts({
  child,
  parent,
  before,
  after,
}: {
  readonly child: Linked
  readonly parent?: Linked
  readonly before: Recorded
  readonly after?: Recorded
}): (readonly [string, string])[] {
  return [
    ['child', `${child.path} (${child.format})`],
    ['its parent', parent === undefined ? 'none' : `${parent.path} (${parent.format})`],
    ...(parent?.identity === undefined ? [] : [["parent's id", parent.identity] as const]),
    ['recorded before', before.names.join(', ')],
    ...(after === undefined ? [] : [['recorded now', after.names.join(', ')] as const]),
  ]
}

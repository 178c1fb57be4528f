import type { RebaseResult } from '../operations/chain/rebase.js'

/** Who is whose parent, and what is recorded of it. */
export function linkFacts({
  child,
  parent,
  before,
  after,
}: Pick<RebaseResult, 'child' | 'parent' | 'before' | 'after'>): (readonly [string, string])[] {
  return [
    ['child', `${child.path} (${child.format})`],
    ['its parent', parent === undefined ? 'none' : `${parent.path} (${parent.format})`],
    ...(parent?.identity === undefined ? [] : [["parent's id", parent.identity] as const]),
    ['recorded before', before.names.join(', ')],
    ...(after === undefined ? [] : [['recorded now', after.names.join(', ')] as const]),
  ]
}

import type { RebaseResult } from '../../operations/chain/rebase.js'
import type { FactRow } from './view.js'

/** A child, its parent, and what the child records of it. */
export function linkFacts({
  child,
  parent,
  before,
  after,
}: Pick<RebaseResult, 'child' | 'parent' | 'before' | 'after'>): FactRow[] {
  return [
    ['child', `${child.path} (${child.format})`],
    ['its parent', parent === undefined ? 'none' : `${parent.path} (${parent.format})`],
    ["parent's id", parent?.identity],
    ['recorded before', before.names.join(', ')],
    ['recorded now', after?.names.join(', ')],
  ]
}

import type { SnapshotChangeResult } from '../../operations/change/snapshot.js'
import { optionalSize, sizeText, type Renderer } from '../render.js'
import { answer, type View } from './view.js'

export const view: View<SnapshotChangeResult> = {
  text: (result, render) => changeText(result, render, ['Took a snapshot', 'Would take a snapshot']),
}

/** The snapshot that was taken or deleted. */
export function changeText(
  { path, format, snapshot, count, dryRun }: SnapshotChangeResult,
  render: Renderer,
  heading: readonly [string, string],
): string {
  const { id, name, date, capacity, own } = snapshot
  return answer(render, dryRun, heading, [
    ['image', `${path} (${format})`],
    ['snapshot', id === undefined ? name : `${id}: ${name}`],
    ['date', date],
    ['disk', sizeText(Number(capacity))],
    [dryRun ? 'would be free' : 'free now', optionalSize(own)],
    ['snapshots now', String(count)],
  ])
}

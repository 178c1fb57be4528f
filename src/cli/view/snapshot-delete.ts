import type { SnapshotChangeResult } from '../../operations/change/snapshot.js'
import { changeText } from './snapshot-create.js'
import type { View } from './view.js'

export const view: View<SnapshotChangeResult> = {
  text: (result, render) => changeText(result, render, ['Deleted a snapshot', 'Would delete a snapshot']),
}

import type { Note } from '../../block/types.js'
import type { ChosenFooter } from './choose-footer.js'
import type { DynamicLayout } from './dynamic.js'
import type { ParentLocator } from './parent-locators.js'

/** Everything that is read when an image is opened. */
export interface Structures {
  readonly chosen: ChosenFooter
  readonly subformat: 'fixed' | 'dynamic' | 'differencing'
  readonly capacity: number
  readonly dynamic?: DynamicLayout
  readonly locators: readonly ParentLocator[]
  readonly notes: readonly Note[]
}

import { answerFar } from '../far-thread.js'
import type { OciOptions } from './environment.js'
import { openRegistryDisk } from './open-disk.js'
import type { OciReference } from './reference.js'

/** What the thread is started with. */
export interface OciThreadData {
  readonly reference: OciReference
  readonly options: OciOptions
}

answerFar((data, head) => {
  const { reference, options } = data as OciThreadData
  return openRegistryDisk(reference, head, options)
})

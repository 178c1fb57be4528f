import { answerFar } from '../far-thread.js'
import type { SshAddress } from './address.js'
import type { SshOptions } from './environment.js'
import { openSshFile } from './ssh-file.js'

/** What the thread is started with. */
export interface SshThreadData {
  readonly address: SshAddress
  readonly options: SshOptions
}

answerFar((data, head) => {
  const { address, options } = data as SshThreadData
  return openSshFile(address, head, options)
})

import { firstError } from '../../errors.js'
import type { Note } from '../../block/types.js'
import { placed, realPath } from '../../sys/host-path.js'
import { FileSession, type SessionOptions } from './file-session.js'
import { StartAgain, type JournaledTarget } from './journaled-target.js'

interface Resumed<Result> {
  readonly result: Result
  readonly notes: readonly Note[]
  /** Bytes of the disk that were taken from an earlier run. */
  readonly recorded: number
}

/**
 * Makes a file with a journal: goes on with what an earlier run left, and begins anew where that cannot be used.
 * @param path where the file is to be. @param once makes it, with what is left of an earlier run.
 * @throws ImageError refused E_RESUME_BUSY, E_RESUME_SOURCE, E_RESUME_OPTIONS; what `once` throws, with what is kept.
 */
export async function resumable<Result>(
  path: string,
  how: SessionOptions,
  once: (session: FileSession) => Promise<Result>,
): Promise<Resumed<Result>> {
  return await withSession(() => FileSession.open(realPath(path) ?? placed(path) ?? path, how), once)
}

/** The same for any target. @param open looks for what an earlier run left of it. */
export async function withSession<Session extends JournaledTarget, Result>(
  open: () => Session,
  once: (session: Session) => Promise<Result>,
): Promise<Resumed<Result>> {
  const notes: Note[] = []
  for (;;) {
    using session = open()
    try {
      const result = await once(session)
      return { result, notes: [...notes, ...session.notes], recorded: session.recorded }
    } catch (thrown) {
      const error = firstError(thrown)
      if (!(error instanceof StartAgain)) throw session.explained(error)
      session.startAgain(error.message)
      notes.push(...session.notes)
    }
  }
}

import { createInterface } from 'node:readline/promises'

/**
 * Asks one question on a terminal.
 * @returns what was typed; undefined when the terminal was closed, or the signal fired.
 */
export async function promptLine(
  question: string,
  streams: { readonly input: NodeJS.ReadableStream; readonly output: NodeJS.WritableStream },
  signal: AbortSignal,
): Promise<string | undefined> {
  const terminal = createInterface({ ...streams, terminal: true })
  try {
    // Ctrl-C is the terminal's own while it reads a line: it ends the question.
    const closed = new Promise<undefined>((resolve) => {
      terminal.once('SIGINT', () => resolve(undefined))
      terminal.once('close', () => resolve(undefined))
    })
    return await Promise.race([terminal.question(question, { signal }), closed])
  } catch (error) {
    if (signal.aborted) return undefined
    throw error
  } finally {
    terminal.close()
  }
}

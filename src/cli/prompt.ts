import { createInterface } from 'node:readline/promises'

interface Streams {
  readonly input: NodeJS.ReadableStream & { setRawMode?(raw: boolean): unknown }
  readonly output: NodeJS.WritableStream
}

/** Milliseconds in which what was typed or pasted before the question is taken away: nobody reads it in that time. */
const settling = 50

/**
 * Asks one question on a terminal, which only a person who has read it can answer: what was typed before it was shown
 * is thrown away, and text that comes together with its line end (a paste of several lines) is no answer.
 * @returns what was typed; undefined when the terminal was closed, or the signal fired.
 */
export async function promptLine(question: string, streams: Streams, signal: AbortSignal): Promise<string | undefined> {
  let text = question
  while (await discardWaiting(streams.input)) {
    const { answer, pasted } = await readAnswer(text, streams, signal)
    if (!pasted) return answer
    text = 'A pasted line is no answer. Type it: '
  }
  return undefined
}

async function readAnswer(
  question: string,
  streams: Streams,
  signal: AbortSignal,
): Promise<{ readonly answer: string | undefined; readonly pasted: boolean }> {
  let pasted = false
  const watch = (piece: Buffer | string): void => {
    pasted ||= /[^\r\n][\r\n]|[\r\n][^\r\n]/.test(piece.toString())
  }
  streams.input.on('data', watch)
  const terminal = createInterface({ ...streams, terminal: true })
  try {
    // Ctrl-C is the terminal's own while it reads a line: it ends the question.
    const closed = new Promise<undefined>((resolve) => {
      terminal.once('SIGINT', () => resolve(undefined))
      terminal.once('close', () => resolve(undefined))
    })
    return { answer: await Promise.race([terminal.question(question, { signal }), closed]), pasted }
  } catch (error) {
    if (signal.aborted) return { answer: undefined, pasted: false }
    throw error
  } finally {
    streams.input.off('data', watch)
    terminal.close()
  }
}

/** Throws away what is waiting to be read. @returns false where Ctrl-C or Ctrl-D is among it, or it has ended. */
async function discardWaiting(input: Streams['input']): Promise<boolean> {
  let goesOn = true
  const drop = (piece: Buffer | string): void => {
    goesOn &&= !/[\u0003\u0004]/.test(piece.toString())
  }
  const end = (): void => void (goesOn = false)
  // A terminal gives what is waiting without a line end only when it is asked for every key.
  input.setRawMode?.(true)
  input.on('data', drop).once('end', end)
  input.resume()
  await new Promise((resolve) => setTimeout(resolve, settling))
  input.pause()
  input.off('data', drop).off('end', end)
  input.setRawMode?.(false)
  return goesOn
}

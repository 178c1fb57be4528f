import assert from 'node:assert/strict'
import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import { promptLine } from '../../../src/cli/prompt.js'

/** A terminal, as far as a question needs one. */
function terminal() {
  const input = new PassThrough()
  const output = new PassThrough()
  const stop = new AbortController()
  const asked = (waiting?: string): Promise<string | undefined> => {
    if (waiting !== undefined) input.write(waiting)
    return promptLine('Type the name sdx to go on: ', { input, output }, stop.signal)
  }
  let screen = ''
  output.on('data', (piece: Buffer) => {
    screen += piece.toString()
    output.emit('shown')
  })
  /** Until the program has shown a text. */
  const shown = async (text: string): Promise<void> => {
    while (!screen.includes(text)) await once(output, 'shown')
  }
  /** As a keyboard does it: key by key. */
  const type = async (text: string): Promise<void> => {
    for (const key of text) {
      input.write(key)
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  return { input, stop, asked, shown, type }
}

test('an answer is what is typed after the question was shown', async () => {
  const { asked, shown, type } = terminal()
  // Typed ahead, with and without its Enter; pasted together with the command.
  const answer = asked('sdx\rsdx')
  await shown('go on')
  await type('no\r')
  assert.equal(await answer, 'no')
})

test('Enter alone is an empty answer, never what was typed ahead', async () => {
  const { asked, shown, type } = terminal()
  const answer = asked('sdx')
  await shown('go on')
  await type('\r')
  assert.equal(await answer, '')
})

test('a paste that brings its own line end is no answer; it is asked again', async () => {
  for (const paste of ['sdx\r', 'sdx\nrm x\n', '\nsdx\n']) {
    const { input, asked, shown, type } = terminal()
    const answer = asked()
    await shown('go on')
    input.write(paste)
    await shown('A pasted line is no answer')
    await type('sdx\r')
    assert.equal(await answer, 'sdx', JSON.stringify(paste))
  }
})

test('a name that is pasted without a line end is completed by Enter', async () => {
  const { input, asked, shown, type } = terminal()
  const answer = asked()
  await shown('go on')
  input.write('sdx')
  await new Promise((resolve) => setImmediate(resolve))
  await type('\r')
  assert.equal(await answer, 'sdx')
})

test('Ctrl-C, the end of the terminal and a signal are no answers', async () => {
  const ends: ((one: ReturnType<typeof terminal>) => void)[] = [
    ({ input }) => void input.write('\u0003'),
    ({ input }) => void input.end(),
    ({ stop }) => stop.abort(),
  ]
  for (const end of ends) {
    const one = terminal()
    const answer = one.asked()
    await one.shown('go on')
    end(one)
    assert.equal(await answer, undefined)
  }
  assert.equal(await terminal().asked('\u0003'), undefined, 'pressed before the question')
})

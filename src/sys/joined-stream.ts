import { Duplex, type Readable, type Writable } from 'node:stream'

/**
 * Two pipes as one stream. Unlike `Duplex.from`, what was written belongs to the stream until the pipe has it: writers
 * use their memory again.
 */
export function joinedStream(input: Readable, output: Writable): Duplex {
  const joined = new Duplex({
    read: () => void input.resume(),
    write: (bytes, encoding, done) => void output.write(bytes, encoding, done),
    final: (done) => void output.end(done),
    destroy: (error, done) => {
      input.destroy()
      output.destroy()
      done(error)
    },
  })
  input.on('data', (bytes) => {
    if (!joined.push(bytes)) input.pause()
  })
  input.on('end', () => joined.push(null))
  for (const pipe of [input, output]) pipe.on('error', (error) => joined.destroy(error))
  return joined
}

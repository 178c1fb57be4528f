/**
 * Runs one vdisk command in this process, and ends it when the worker that started it is gone: its standard input is a
 * pipe that the worker holds open. Arguments: the address of what starts vdisk, then the command line.
 */
const [node = '', , program = '', ...words] = process.argv
process.argv = [node, program, ...words]

const end = (): void => {
  // As a stop that was asked for: what can be gone on with is left so, and nothing else.
  process.kill(process.pid, 'SIGTERM')
  setTimeout(() => process.kill(process.pid, 'SIGKILL'), 10_000).unref()
}
process.stdin.on('end', end).on('error', end).resume()
;(process.stdin as Partial<Pick<NodeJS.ReadStream, 'unref'>>).unref?.()

await import(program)

import type { ServerResponse } from 'node:http'
import { exitCodes, isImageError, usage, type ImageError } from '../../errors.js'
import { listSnapshots, type SnapshotListResult } from '../change/snapshot.js'
import { showChain } from '../chain/show.js'
import { check } from '../check/check.js'
import { disks } from '../device/disks.js'
import { doctor } from '../doctor/doctor.js'
import { listFiles } from '../files/list.js'
import { readFile } from '../files/read.js'
import { diskCells } from '../inspect/disk-cells.js'
import { problem } from '../inspect/info.js'
import { examine, inspect, type InspectResult } from '../inspect/inspect.js'
import { logicalVolumes } from '../open/disk-volumes.js'
import { openReadableLater, parseImageArgument, type ReadOptions } from '../open/opening.js'
import { link } from './links.js'
import type { FilesPlace, PageFrame, PageName, RestoreChoice, ViewPages } from './pages.js'
import { RestoreJob } from './restore-job.js'
import { plain, type PageRequest } from './server.js'
import { nextTurn } from '../../sys/next-turn.js'

interface SiteOptions {
  readonly reading: ReadOptions
  readonly pages: ViewPages
  readonly restores: boolean
}

type Answer = (request: PageRequest, frame: PageFrame) => Promise<void>

/** What is answered to which address. */
export class ViewSite implements AsyncDisposable {
  /** The path that all addresses begin with. */
  root = '/'
  readonly #images: readonly string[]
  readonly #options: SiteOptions
  #job: RestoreJob | undefined

  constructor(images: readonly string[], options: SiteOptions) {
    this.#images = images
    this.#options = options
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#job?.stop()
    await this.#job?.ended
  }

  async answer(request: PageRequest): Promise<void> {
    const { method, path, response } = request
    const found = method === 'POST' ? this.#posted(path) : this.#page(path)
    if (found === undefined) {
      plain(response, 404, 'There is no such page.')
      return
    }
    const { frame, answer } = found
    try {
      await answer(request, frame)
    } catch (error) {
      // Faults of the program are not the reader's: they end it, as everywhere.
      if (!isImageError(error)) throw error
      this.#refuse(response, frame, error)
    }
  }

  #frame(page: PageName, image?: number): PageFrame {
    return { root: this.root, images: this.#images, image, page, restores: this.#options.restores }
  }

  #page(path: readonly string[]): { readonly frame: PageFrame; readonly answer: Answer } | undefined {
    const [first = '', second = ''] = path
    if (first === '' && path.length === 1) return { frame: this.#frame('images'), answer: this.#index }
    if (first === 'restore' && this.#options.restores) {
      const answer = { '': this.#choice, job: this.#showJob, events: this.#events, 'script.js': this.#script }[second]
      return answer === undefined ? undefined : { frame: this.#frame('restore'), answer }
    }
    const image = /^[1-9][0-9]{0,5}$/.test(first) ? Number(first) - 1 : -1
    if (this.#images[image] === undefined || path.length !== 2) return undefined
    const pages: Readonly<Record<string, readonly [PageName, Answer]>> = {
      '': ['overview', this.#overview],
      files: ['files', this.#files],
      file: ['files', this.#download],
      check: ['check', this.#check],
      doctor: ['doctor', this.#doctor],
      chain: ['chain', this.#chain],
    }
    const known = Object.hasOwn(pages, second) ? pages[second] : undefined
    return known === undefined ? undefined : { frame: this.#frame(known[0], image), answer: known[1] }
  }

  #posted([first, second = '']: readonly string[]): { readonly frame: PageFrame; readonly answer: Answer } | undefined {
    if (first !== 'restore' || !this.#options.restores) return undefined
    const answers: Readonly<Record<string, Answer>> = {
      plan: this.#plan,
      confirm: this.#confirm,
      stop: this.#stop,
    }
    const answer = Object.hasOwn(answers, second) ? answers[second] : undefined
    return answer === undefined ? undefined : { frame: this.#frame('restore'), answer }
  }

  #nameOf({ image }: PageFrame): string {
    return this.#images[image ?? 0] ?? ''
  }

  readonly #index: Answer = async ({ response }, frame) => {
    const [, second] = this.#images
    if (second !== undefined || this.#images.length === 0) this.#send(response, frame, this.#pages.images(frame))
    else redirect(response, `${this.root}1/`)
    return Promise.resolve()
  }

  readonly #overview: Answer = async ({ response, signal }, frame) => {
    using opened = await openReadableLater(this.#nameOf(frame), this.#options.reading)
    const { result, volumes } = examine(this.#nameOf(frame), opened)
    this.#send(response, frame, this.#pages.overview(result, await diskCells(opened, volumes, signal)))
  }

  readonly #files: Answer = async ({ response, values, signal }, frame) => {
    const part = values.get('part')
    if (part === undefined) {
      const places = await this.#places(this.#nameOf(frame))
      const [only, second] = places
      if (only === undefined || second !== undefined) this.#send(response, frame, this.#pages.places(places))
      else redirect(response, link('files', { part: only.part, path: '/' }))
      return
    }
    const list = await listFiles(partOf(this.#nameOf(frame), part), values.get('path') ?? '/', {
      ...this.#options.reading,
      signal,
    })
    this.#send(response, frame, this.#pages.files(list, part))
  }

  readonly #download: Answer = async ({ response, values, signal }, frame) => {
    const path = values.get('path') ?? '/'
    await readFile(partOf(this.#nameOf(frame), values.get('part') ?? ''), path, (bytes) => written(response, bytes), {
      ...this.#options.reading,
      signal,
      onStart: (size) => {
        const name = Buffer.from(path.slice(path.lastIndexOf('/') + 1)).toString()
        response.writeHead(200, {
          // What comes out of an image is kept, never shown as a page or run.
          'Content-Type': 'application/octet-stream',
          'Content-Disposition': `attachment; filename*=UTF-8''${encodeURIComponent(name)}`,
          'Content-Security-Policy': "default-src 'none'; sandbox",
          'Content-Length': size,
        })
      },
    })
    response.end()
  }

  readonly #check: Answer = async ({ response, values, signal }, frame) => {
    if (!values.has('start')) {
      this.#send(response, frame, this.#pages.beforeCheck())
      return
    }
    const deep = values.get('start') === 'deep'
    const { path } = parseImageArgument(this.#nameOf(frame))
    response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8' })
    response.write(
      this.#pages.start(frame) +
        this.#pages.waiting(deep ? 'Reading everything that is stored …' : 'Checking the structures …'),
    )
    response.end(this.#pages.checked(await check(path, { ...this.#options.reading, deep, signal })) + this.#pages.end())
  }

  readonly #doctor: Answer = async ({ response, values }, frame) => {
    const platform = values.get('for')
    const chosen = platform === '' ? undefined : platform
    const result = await doctor(this.#nameOf(frame), { ...this.#options.reading, for: chosen })
    this.#send(response, frame, this.#pages.platforms(chosen) + this.#pages.diagnosed(result))
  }

  readonly #chain: Answer = async ({ response }, frame) => {
    const { path } = parseImageArgument(this.#nameOf(frame))
    const chain = showChain(path, this.#options.reading)
    this.#send(response, frame, this.#pages.chain(chain, await this.#snapshots(path)))
  }

  async #snapshots(path: string): Promise<SnapshotListResult | undefined> {
    // All of them are listed, whichever is read.
    const options = { ...this.#options.reading, snapshot: undefined }
    try {
      return await listSnapshots(path, options)
    } catch (error) {
      if (isImageError(error) && error.code === 'E_NO_SNAPSHOTS') return undefined
      throw error
    }
  }

  readonly #choice: Answer = async ({ response }, frame) => {
    if (this.#job !== undefined && !this.#job.isOver) {
      redirect(response, `${this.root}restore/job`)
      return
    }
    const images: RestoreChoice['images'][number][] = []
    for (const name of this.#images) images.push({ name, ...(await this.#look(name)) })
    this.#send(response, frame, this.#pages.choice(frame, { images, disks: await disks({ all: true }) }))
  }

  async #look(name: string): Promise<Pick<RestoreChoice['images'][number], 'disk' | 'problem'>> {
    try {
      return { disk: await inspect(name, this.#options.reading) }
    } catch (error) {
      if (!isImageError(error)) throw error
      return { problem: problem(error) }
    }
  }

  /** A choice of image and target: everything is checked, and the person is asked. */
  readonly #plan: Answer = async ({ response, values }) => {
    if (this.#job === undefined || this.#job.isOver) {
      const [image, ...part] = (values.get('source') ?? '').split('@')
      const name = this.#images[Number(image) - 1]
      const device = values.get('device') ?? ''
      if (name === undefined || device === '')
        throw usage('E_USAGE', 'choose an image, or a partition of it, and the disk or partition to overwrite')
      const source = partOf(name, part.join('@'))
      this.#job = new RestoreJob(source, device, this.#options.reading)
      await this.#job.planned()
    }
    redirect(response, `${this.root}restore/job`)
  }

  readonly #confirm: Answer = async ({ response, values }) => {
    this.#job?.confirm(values.get('typed') ?? '')
    // A word that is not the target's ends it at once: the page that follows says so.
    await nextTurn()
    redirect(response, `${this.root}restore/job`)
  }

  readonly #stop: Answer = async ({ response }) => {
    this.#job?.stop()
    await this.#job?.ended
    redirect(response, `${this.root}restore/job`)
  }

  readonly #showJob: Answer = async ({ response }, frame) => {
    const live = this.#job !== undefined && !this.#job.isOver && this.#job.state !== 'asking'
    this.#send(response, { ...frame, live }, this.#pages.job(frame, this.#job))
    return Promise.resolve()
  }

  readonly #script: Answer = async ({ response }) => {
    response.writeHead(200, { 'Content-Type': 'text/javascript; charset=utf-8' })
    response.end(this.#pages.script)
    return Promise.resolve()
  }

  /** How far it is, as server-sent events: one at each change, at most four a second. */
  readonly #events: Answer = async ({ response, signal }) => {
    const job = this.#job
    response.writeHead(200, { 'Content-Type': 'text/event-stream; charset=utf-8' })
    if (job === undefined) {
      response.end()
      return
    }
    let waiting: NodeJS.Timeout | undefined
    const send = (): void => {
      waiting = undefined
      response.write(`data: ${JSON.stringify({ state: job.state, ...job.progress })}\n\n`)
      if (job.isOver) response.end()
    }
    const end = job.listen(() => {
      if (job.isOver) {
        clearTimeout(waiting)
        send()
      } else waiting ??= setTimeout(send, 250)
    })
    send()
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve()
      else signal.addEventListener('abort', () => resolve(), { once: true })
    })
    clearTimeout(waiting)
    end()
  }

  /** Where files may lie in an image. */
  async #places(name: string): Promise<FilesPlace[]> {
    using opened = await openReadableLater(name, this.#options.reading)
    const { result, volumes } = examine(name, opened)
    const parts = volumes.flatMap(({ partition, filesystems }): FilesPlace[] => {
      const [filesystem] = filesystems
      if (filesystem === undefined || (filesystem.openTree ?? filesystem.openContent) === undefined) return []
      const where = partition === undefined ? titleOf(result) : `Partition ${partition.number}`
      const label = filesystem.label === undefined || filesystem.label === '' ? '' : ` “${filesystem.label}”`
      return [
        {
          part: partition === undefined ? '' : String(partition.number),
          title: `${where}: ${filesystem.title}${label}`,
          size: partition?.length ?? opened.capacity,
        },
      ]
    })
    const logical = opened.part === undefined ? logicalVolumes(opened.whole) : []
    return [
      ...parts,
      ...logical.map((volume) => ({ part: `lv=${volume.name}`, title: `Logical volume ${volume.name}` })),
    ]
  }

  get #pages(): ViewPages {
    return this.#options.pages
  }

  #send(response: ServerResponse, frame: PageFrame, content: string, status = 200): void {
    response.writeHead(status, { 'Content-Type': 'text/html; charset=utf-8' })
    response.end(this.#pages.start(frame) + content + this.#pages.end())
  }

  #refuse(response: ServerResponse, frame: PageFrame, error: ImageError): void {
    const content = this.#pages.problem(problem(error))
    if (!response.headersSent)
      this.#send(response, frame, content, exitCodes[error.kind] === exitCodes.usage ? 400 : 422)
    else if (String(response.getHeader('Content-Type')).startsWith('text/html'))
      response.end(content + this.#pages.end())
    // A download that broke off must not look whole.
    else response.destroy()
  }
}

function titleOf({ image }: InspectResult): string {
  return image.part === undefined ? 'The disk' : `The ${image.part}`
}

function partOf(image: string, part: string): string {
  return part === '' ? image : `${image}@${part}`
}

function redirect(response: ServerResponse, to: string): void {
  response.writeHead(303, { Location: to })
  response.end()
}

/** Waits for a slow reader. */
async function written(response: ServerResponse, bytes: Uint8Array): Promise<void> {
  if (response.write(bytes)) return
  await new Promise<void>((resolve) => {
    const go = (): void => {
      response.off('drain', go)
      response.off('close', go)
      resolve()
    }
    response.on('drain', go)
    response.on('close', go)
  })
}

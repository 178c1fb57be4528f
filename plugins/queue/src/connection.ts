import { Flags } from '@oclif/core'
import { Queue, type ConnectionOptions } from 'bullmq'
import { Redis } from 'ioredis'
import { QueueError } from './errors.js'
import type { JobData, JobEnd } from './jobs.js'

/** Flags of every command that speaks to the queue. */
export const queueFlags = {
  redis: Flags.string({
    helpValue: 'URL',
    env: 'VDISK_REDIS',
    default: 'redis://127.0.0.1:6379',
    summary: 'the Redis server (environment variable VDISK_REDIS)',
  }),
  queue: Flags.string({ helpValue: 'NAME', default: 'vdisk', summary: 'name of the queue' }),
}

export interface QueuePlace {
  readonly redis: string
  readonly queue: string
}

export type VdiskQueue = Queue<JobData, JobEnd>

/** A connection that waits for a server that is restarted. The caller closes it. */
export function connect({ redis }: Pick<QueuePlace, 'redis'>): Redis {
  const connection = new Redis(redis, {
    maxRetriesPerRequest: null,
    retryStrategy: (times) => Math.min(times * 100, 2000),
  })
  // Each failed attempt is an event; without a listener it would be printed as it is.
  connection.on('error', () => undefined)
  return connection
}

/**
 * Runs work with the queue, and closes it.
 * @throws QueueError target E_QUEUE where the server does not answer within some seconds.
 */
export async function withQueue<Result>(
  place: QueuePlace,
  work: (queue: VdiskQueue) => Promise<Result>,
): Promise<Result> {
  const connection = new Redis(place.redis, {
    maxRetriesPerRequest: 1,
    connectTimeout: 5000,
    retryStrategy: (times) => (times > 3 ? null : 300),
  })
  connection.on('error', () => undefined)
  const queue: VdiskQueue = new Queue<JobData, JobEnd>(place.queue, { connection: connection as ConnectionOptions })
  queue.on('error', () => undefined)
  try {
    return await work(queue)
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new QueueError('target', 'E_QUEUE', `the queue at ${withoutPassword(place.redis)} does not answer: ${why}`, {
      cause,
      hint: 'Start Redis there, or name it with --redis or VDISK_REDIS.',
    })
  } finally {
    await queue.close().catch(() => undefined)
    connection.disconnect()
  }
}

export function withoutPassword(url: string): string {
  return url.replace(/\/\/[^@/]*@/, '//')
}

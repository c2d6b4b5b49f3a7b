-- Slurm's door: no job is taken in a gated partition without a permit, none outlasts it, none is requeued.
--
-- Copy beside slurm.conf, with `JobSubmitPlugins=lua`, and set what follows. A job names its permit, a file that lies in
-- PERMITS on the controller (`interlock permit show DIGEST --out PERMITS/NAME`), in its comment:
--
--     sbatch --comment interlock=NAME job.sh
--
-- Whatever goes wrong here refuses the job, errors of this script too: Slurm itself would take the job then. docs/launching.md says what this stops, and what it does not.

local INTERLOCK = "/usr/local/bin/interlock"
local PERMITS = "/etc/interlock/permits"
local TRUST = "/etc/interlock/trust.json"
local ACTION = "scale"
local GATED = nil -- the partitions that take a permit, such as {train = true, ["train-large"] = true}; nil: all

local function gated(partition)
   if GATED == nil then
      return true
   end
   if partition == nil then -- the default partition: its name is not told
      return true
   end
   for name in string.gmatch(partition, "[^,]+") do
      if GATED[name] then
         return true
      end
   end
   return false
end

-- The minutes that a permit leaves; nil and why, where it opens nothing.
local function minutes_left(comment)
   local name = string.match(comment or "", "interlock=([%w_-][%w._-]*)")
   if name == nil then
      return nil, "no permit is named; submit with --comment interlock=NAME"
   end
   local command = string.format(
      "%s slurm check %s --permits %s --trust %s --action %s 2>&1", INTERLOCK, name, PERMITS, TRUST, ACTION
   )
   local pipe = io.popen(command)
   if pipe == nil then
      return nil, "interlock cannot be run"
   end
   local said = pipe:read("*a") or "" -- Lua 5.1 does not tell the exit code; a refusal never begins so
   pipe:close()
   local minutes = tonumber(string.match(said, "^(%d+) minutes, until ") or "")
   if minutes ~= nil and minutes >= 1 then
      return minutes
   end
   return nil, (string.gsub(string.gsub(said, "%s+$", ""), "^interlock: ", ""))
end

-- Both give why a job is refused, or nil.

local function submitted(job)
   if not gated(job.partition) then
      return nil
   end
   local left, why = minutes_left(job.comment)
   if left == nil then
      return why
   end
   if job.time_limit == slurm.NO_VAL or job.time_limit > left then
      job.time_limit = left
   end
   job.requeue = 0
   return nil
end

-- A change must not make a job longer than its permit, put another permit in its place, or bring it back to the queue.
local function modified(job, record)
   if not gated(record.partition) and not gated(job.partition) then
      return nil
   end
   if job.comment ~= nil and job.comment ~= record.comment then
      return "the permit of a job cannot be changed; submit it anew"
   end
   if job.requeue ~= nil and job.requeue ~= slurm.NO_VAL16 and job.requeue ~= 0 then
      return "a job under a permit is not requeued; submit it anew"
   end
   if job.time_limit ~= slurm.NO_VAL then
      local left, why = minutes_left(record.comment)
      if left == nil then
         return why
      end
      local ran = 0
      if record.start_time ~= nil and record.start_time > 0 and record.start_time < os.time() then
         ran = math.floor((os.time() - record.start_time) / 60)
      end
      if job.time_limit > left + ran then
         return string.format("the permit leaves %d minutes", left)
      end
   end
   return nil
end

local function closed(tell, decide, ...)
   local fine, why = pcall(decide, ...)
   if fine and why == nil then
      return slurm.SUCCESS
   end
   pcall(tell, "interlock: hold: %s", fine and why or "this script failed: " .. tostring(why))
   return slurm.ERROR
end

function slurm_job_submit(job, partitions, uid)
   return closed(slurm.log_user, submitted, job)
end

function slurm_job_modify(job, record, partitions, uid)
   return closed(slurm.log_info, modified, job, record) -- Slurm shows who asked no more than that it failed
end

slurm.log_info("interlock: jobs take a permit")
return slurm.SUCCESS
